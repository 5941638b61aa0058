import RoostFailover
import RoostSimulation
import Testing

/// Ranges of seeds, one test case each, so that they run side by side.
struct SeedRange: Sendable, CustomTestStringConvertible {
    var members: Int
    var seeds: ClosedRange<UInt64>

    var testDescription: String { "\(members) members, seeds \(seeds.lowerBound) to \(seeds.upperBound)" }

    static func ranges(members: Int, count: UInt64, each: UInt64 = 1000) -> [SeedRange] {
        stride(from: 1, through: count, by: UInt64.Stride(each)).map {
            SeedRange(members: members, seeds: $0...min($0 + each - 1, count))
        }
    }
}

/// Runs a scenario; one that breaks a rule runs again with its trace.
func run(_ scenario: ClusterScenario) -> ClusterRun {
    let first = ClusterSimulation(scenario).run()
    guard let violation = first.violation else { return first }
    let traced = ClusterSimulation(scenario, keepsTrace: true).run()
    Issue.record("\(violation)\n\(traced)")
    return traced
}

@Suite struct ClusterSimulationTests {
    /// Thousands of clusters, each through its own mix of every kind of fault. Safety at every event; an open primary
    /// within 45 s after healing, every member streaming with the same log within 90 s. (More of them: `roost lab simulate`.)
    @Test(
        arguments: SeedRange.ranges(members: 3, count: 1500) + SeedRange.ranges(members: 5, count: 500)
            + SeedRange.ranges(members: 2, count: 200) + SeedRange.ranges(members: 1, count: 150)
            + SeedRange.ranges(members: 4, count: 150)
            + (6...9).flatMap { SeedRange.ranges(members: $0, count: 30) })
    func staysSafeAndRecovers(_ range: SeedRange) {
        var epochs: UInt64 = 0
        var confirmed = 0
        for seed in range.seeds {
            let run = run(ClusterScenario(seed: seed, members: range.members))
            epochs += run.epochs
            confirmed += run.confirmed
            if run.violation != nil { return }
        }
        // The runs mean something: leaders changed and commits were confirmed.
        let count = UInt64(range.seeds.count)
        #expect(range.members == 1 || epochs > count * 3 / 2)
        // A commit of more members waits for more of them.
        #expect(confirmed > range.seeds.count * (range.members > 5 ? 15 : 20))
    }

    /// Seeds that found a bug once. (A change to the simulation gives every seed another course, so each bug also has
    /// its dialogue.)
    @Test(arguments: [
        // Postgres died in the moment between an operation's end and the word of it.
        ClusterScenario(seed: 10550, members: 3)
    ])
    func onceFoundABug(_ scenario: ClusterScenario) {
        #expect(run(scenario).violation == nil)
    }

    /// One scenario, one course of events.
    @Test func replays() {
        let scenario = ClusterScenario(seed: 20, members: 3)
        let first = ClusterSimulation(scenario, keepsTrace: true).run()
        let second = ClusterSimulation(scenario, keepsTrace: true).run()
        #expect(first.trace == second.trace)
        #expect(first.trace.count > 100)
    }

    /// The longest time without a confirmed commit, in the middle of fifty runs with one fault on the leader.
    @Test(arguments: [
        (ClusterScenario.Fault.crashMember, 4.0), (.freezeMember, 4.0), (.isolate, 4.0), (.crashPostgres, 2.0),
        (.switchover, 1.5), (.restartMember, 2.0),
    ])
    func gapOfWrites(fault: ClusterScenario.Fault, secondsMax: Double) {
        let gaps = (1...50 as ClosedRange<UInt64>).map { seed in
            run(
                ClusterScenario(
                    seed: seed, members: 3, faults: [], script: [.init(fault, atSeconds: 12, forSeconds: 20)],
                    chaosSeconds: 30)
            ).longestGapSeconds
        }.sorted()
        #expect(gaps[gaps.count / 2] <= secondsMax, "\(fault): \(gaps)")
    }

    /// Without faults nobody calls a recruitment, however the messages are delayed.
    @Test func quietClusterKeepsItsLeader() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let run = run(ClusterScenario(seed: seed, members: 3, faults: [], chaosSeconds: 60))
            #expect(run.epochs == 1 && run.violation == nil)
            #expect(run.longestGapSeconds < 2)
        }
    }

    /// Of the store, short or long. With programs of before among the members, a long one may stop it for a while.
    @Test(arguments: [3, 15])
    func storeOutageMovesNoLeader(seconds: Int) {
        for seed in 1...50 as ClosedRange<UInt64> {
            let run = run(
                ClusterScenario(
                    seed: seed, members: 3, faults: [],
                    script: [.init(.storeOutage, atSeconds: 12, forSeconds: seconds)], chaosSeconds: 40))
            #expect(run.violation == nil && run.epochs == 1, "seed \(seed)")
        }
    }
}
