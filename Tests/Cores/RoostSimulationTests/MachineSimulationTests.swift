import RoostMachineLife
import RoostSimulation
import Testing

/// One machine through orders in any interleaving with deaths of the agent, the machine, the runtime, the ledger and the
/// host.
@Suite struct MachineSimulationTests {
    /// Side by side.
    private static let seeds: [ClosedRange<UInt64>] = (0..<10).map { (part: UInt64) in
        let first = part * 2000 + 1
        return first...(first + 1999)
    }

    private func run(_ scenario: MachineScenario, breakage: LifeBreakage? = nil) -> MachineRun {
        MachineSimulation(scenario, breakage: breakage).run()
    }

    /// What is told is true at every event; what was ordered last is so 90 s after everything is healed.
    @Test(arguments: Self.seeds)
    func keepsEveryOrder(_ seeds: ClosedRange<UInt64>) {
        var orders = 0
        var launches = 0
        var crashes = 0
        for seed in seeds {
            let run = run(MachineScenario(seed: seed))
            orders += run.orders
            launches += run.launches
            crashes += run.crashes
            guard run.violation == nil else {
                Issue.record("\(MachineSimulation(MachineScenario(seed: seed), keepsTrace: true).run())")
                return
            }
        }
        // The runs mean something.
        #expect(orders > seeds.count * 5)
        #expect(launches > seeds.count * 2)
        #expect(crashes > seeds.count)
    }

    /// Without any fault an order is carried out in the time that the machine itself needs.
    @Test func withoutFaultsOrdersEndSoon() {
        for seed in 1...2000 as ClosedRange<UInt64> {
            let run = run(MachineScenario(seed: seed, faults: [], settledWithinSeconds: 15))
            guard run.violation == nil else {
                Issue.record("\(run)")
                return
            }
        }
    }

    /// Every rule that is broken on purpose must be noticed.
    @Test(arguments: LifeBreakage.allCases)
    func noticesABrokenRule(_ breakage: LifeBreakage) {
        let found = (1...3000 as ClosedRange<UInt64>).lazy
            .compactMap { run(MachineScenario(seed: $0), breakage: breakage).violation }.first
        #expect(found != nil, "\(breakage) is not noticed")
    }

    @Test func noticesAnOrderConfirmedBeforeItIsWritten() {
        let found = (1...3000 as ClosedRange<UInt64>).lazy
            .compactMap {
                run(MachineScenario(seed: $0, faults: [.ledgerFails], breach: .confirmsBeforeWriting)).violation
            }
            .first
        #expect(found != nil)
    }

    /// One scenario, one course of events.
    @Test func replays() {
        let first = MachineSimulation(MachineScenario(seed: 20), keepsTrace: true).run()
        let second = MachineSimulation(MachineScenario(seed: 20), keepsTrace: true).run()
        #expect(first.trace == second.trace)
        #expect(first.trace.count > 20)
    }
}
