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
        let queue = Mutex(SeedQueue(seeds))
        let sum = Mutex(TrialsReport(members: members, firstSeed: seeds.lowerBound, workers: workers))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask { @concurrent in
                    while !hasToEnd(), !sum.withLock({ $0.violationCount >= Self.violationsMax }),
                        let seed = queue.withLock({ $0.take() })
                    {
                        let run = ClusterSimulation(ClusterScenario(seed: seed, members: members)).run()
                        let state = sum.withLock { sum in
                            sum.add(run)
                            return Progress(runs: sum.runs, violationCount: sum.violationCount)
                        }
                        progress(state)
                    }
                }
            }
        }
        return sum.withLock { sum in
            sum.seconds = (BootClock.now() - begin).secondsAsDouble
            sum.violations.sort { $0.seed < $1.seed }
            return sum
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
