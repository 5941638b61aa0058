import RoostModel
import Testing

@testable import RoostReaders

@Suite struct ReaderSimulationTests {
    /// Minutes in which their cluster fails over, a standby starves, and they are cut off, frozen and without a store.
    @Test(arguments: 0..<30) func whatAReaderShowsStays(block: UInt64) throws {
        for seed in (block * 2)..<(block * 2 + 2) {
            var simulation = try ReaderSimulation(seed: seed, readers: [1, 3, 5][Int(seed % 3)])
            do { try simulation.run(seconds: 150) } catch { Issue.record("seed \(seed): \(error)") }
        }
    }

    /// Each wrong order is noticed by some seed.
    @Test(arguments: ReaderBreakage.allCases) func aWrongOrderIsNoticed(breakage: ReaderBreakage) throws {
        let isNoticed = (0..<UInt64(60)).contains { seed in
            guard var simulation = try? ReaderSimulation(seed: seed, readers: 1, breakage: breakage) else {
                return false
            }
            do { try simulation.run(seconds: 150) } catch { return true }
            return false
        }
        #expect(isNoticed, "\(breakage)")
    }
}
