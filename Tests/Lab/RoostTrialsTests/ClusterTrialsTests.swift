import RoostModel
import Synchronization
import Testing

@testable import RoostSimulation
@testable import RoostTrials

@Suite struct ClusterTrialsTests {
    /// Each seed once, whoever takes it up, and the sum is that of the runs.
    @Test(arguments: [1, 3])
    func everySeedRunsOnce(workers: Int) async {
        let told = Mutex<[UInt64]>([])
        let report = await ClusterTrials(members: 3, seeds: 5...12, workers: workers).run(
            hasToEnd: { false }, progress: { state in told.withLock { $0.append(state.runs) } })
        let runs = (5...12 as ClosedRange<UInt64>).map {
            ClusterSimulation(ClusterScenario(seed: $0, members: 3)).run()
        }
        #expect(report.runs == 8 && report.lastSeed == 12)
        #expect(report.confirmed == runs.map(\.confirmed).reduce(0, +))
        #expect(report.epochs == runs.map(\.epochs).reduce(0, +))
        #expect(report.secondsToWholeMax == runs.compactMap(\.secondsToWhole).max())
        #expect(told.withLock { $0.sorted() } == Array(1...8))
    }

    /// Whoever ends it early is told of what was tried until then.
    @Test func endsWhenAsked() async {
        let done = Mutex<UInt64>(0)
        let report = await ClusterTrials(members: 1, seeds: 1...UInt64.max, workers: 2).run(
            hasToEnd: { done.withLock { $0 >= 6 } }, progress: { state in done.withLock { $0 = state.runs } })
        #expect((6...8).contains(report.runs))
        #expect(report.lastSeed == report.runs)
    }

    @Test func whatBrokeARuleIsNamed() {
        var run = ClusterSimulation(ClusterScenario(seed: 3, members: 1)).run()
        run.violation = Violation(what: "a confirmed commit is lost", atSeconds: 4)
        var report = TrialsReport(members: 1, firstSeed: 1, workers: 1)
        report.add(run)
        #expect(report.violationCount == 1)
        #expect(report.violations == [.init(seed: 3, what: "a confirmed commit is lost", atSeconds: 4)])
    }
}
