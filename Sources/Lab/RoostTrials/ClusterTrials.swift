import RoostLinux
import RoostModel
import RoostSimulation
import Synchronization

/// Simulated clusters of one size, one for each seed of a range, each through its own mix of every kind of fault.
public struct ClusterTrials: Sendable {
    /// How far they are.
    public struct Progress: Sendable {
        public var runs: UInt64
        public var violationCount: UInt64
    }

    /// What broke a rule is kept of so many runs; with more, the core is broken, and nobody reads on.
    public static let violationsMax: UInt64 = 20

    public let members: Int
    public let seeds: ClosedRange<UInt64>
    public let workers: Int

    public init(members: Int, seeds: ClosedRange<UInt64>, workers: Int) {
        self.members = members
        self.seeds = seeds
        self.workers = workers
    }

    /// Ends early when it is asked to, and at ``violationsMax``. What it has taken up it finishes, so that the report speaks
    /// of every seed up to the last one.
    public func run(
        hasToEnd: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (Progress) -> Void
    ) async -> TrialsReport {
        let begin = BootClock.now()
        let board = Board(self)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask { await Self.work(on: board, hasToEnd, progress) }
            }
        }
        return board.report(seconds: (BootClock.now() - begin).secondsAsDouble)
    }

    @concurrent private static func work(
        on board: Board, _ hasToEnd: @Sendable () -> Bool, _ progress: @Sendable (Progress) -> Void
    ) async {
        while !hasToEnd(), let scenario = board.next() {
            progress(board.add(ClusterSimulation(scenario).run()))
        }
    }
}

/// What its workers share.
private final class Board: Sendable {
    private struct State {
        var queue: SeedQueue
        var report: TrialsReport
    }

    private let members: Int
    private let state: Mutex<State>

    init(_ trials: ClusterTrials) {
        members = trials.members
        let report = TrialsReport(
            members: trials.members, firstSeed: trials.seeds.lowerBound, workers: trials.workers)
        state = Mutex(State(queue: SeedQueue(trials.seeds), report: report))
    }

    /// Nil when there is no more to do.
    func next() -> ClusterScenario? {
        let seed = state.withLock { state in
            state.report.violationCount < ClusterTrials.violationsMax ? state.queue.take() : nil
        }
        return seed.map { ClusterScenario(seed: $0, members: members) }
    }

    func add(_ run: ClusterRun) -> ClusterTrials.Progress {
        state.withLock { state in
            state.report.add(run)
            return .init(runs: state.report.runs, violationCount: state.report.violationCount)
        }
    }

    func report(seconds: Double) -> TrialsReport {
        state.withLock { state in
            state.report.seconds = seconds
            state.report.violations.sort { $0.seed < $1.seed }
            return state.report
        }
    }
}

/// Hands out the seeds in order, each once.
private struct SeedQueue {
    private var next: UInt64?
    private let last: UInt64

    init(_ seeds: ClosedRange<UInt64>) {
        next = seeds.lowerBound
        last = seeds.upperBound
    }

    mutating func take() -> UInt64? {
        guard let seed = next else { return nil }
        next = seed < last ? seed + 1 : nil
        return seed
    }
}
