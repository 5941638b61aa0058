import RoostModel
import Testing

@testable import RoostReaders

@Suite struct ReaderSimulationTests {
    /// Four minutes each, in which its cluster fails over, its upstream starves, and it is cut off, frozen and without a store.
    @Test(arguments: 0..<40) func whatAReaderShowsStays(block: UInt64) throws {
        for seed in (block * 5)..<(block * 5 + 5) {
            var simulation = try ReaderSimulation(seed: seed)
            do { try simulation.run(seconds: 240) } catch { Issue.record("seed \(seed): \(error)") }
        }
    }

    /// Each wrong order is noticed by some seed.
    @Test(arguments: ReaderBreakage.allCases) func aWrongOrderIsNoticed(breakage: ReaderBreakage) throws {
        let isNoticed = (0..<UInt64(60)).contains { seed in
            guard var simulation = try? ReaderSimulation(seed: seed, breakage: breakage) else { return false }
            do { try simulation.run(seconds: 240) } catch { return true }
            return false
        }
        #expect(isNoticed, "\(breakage)")
    }
}
