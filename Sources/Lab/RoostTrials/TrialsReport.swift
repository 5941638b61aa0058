import RoostSimulation

/// What came of a range of seeds.
public struct TrialsReport: Sendable, Codable, Hashable {
    public struct Violation: Sendable, Codable, Hashable {
        public var seed: UInt64
        public var what: String
        /// In the cluster's own time.
        public var atSeconds: Double

        enum CodingKeys: String, CodingKey {
            case seed, what
            case atSeconds = "at_seconds"
        }
    }

    public var members: Int
    public var firstSeed: UInt64
    /// The last one that was tried: with fewer runs than asked for, where it ended.
    public var lastSeed: UInt64
    public var workers: Int
    public var runs: UInt64 = 0
    public var seconds = 0.0
    /// Leaders that clusters have had, together.
    public var epochs: UInt64 = 0
    public var confirmed = 0
    /// Members that came or went.
    public var changes: UInt64 = 0
    public var violationCount: UInt64 = 0
    public var violations: [Violation] = []
    /// The longest that a cluster took, from when all was mended, until clients could write.
    public var secondsToPrimaryMax = 0.0
    /// The same, until every member streamed and had the same log.
    public var secondsToWholeMax = 0.0

    init(members: Int, firstSeed: UInt64, workers: Int) {
        self.members = members
        self.firstSeed = firstSeed
        lastSeed = firstSeed
        self.workers = workers
    }

    mutating func add(_ run: ClusterRun) {
        runs += 1
        lastSeed = max(lastSeed, run.scenario.seed)
        epochs += run.epochs
        confirmed += run.confirmed
        changes += run.changes
        secondsToPrimaryMax = max(secondsToPrimaryMax, run.secondsToPrimary ?? 0)
        secondsToWholeMax = max(secondsToWholeMax, run.secondsToWhole ?? 0)
        guard let violation = run.violation else { return }
        violationCount += 1
        violations.append(
            Violation(seed: run.scenario.seed, what: violation.what, atSeconds: violation.atSeconds))
    }

    enum CodingKeys: String, CodingKey {
        case members, workers, runs, seconds, epochs, confirmed, changes, violations
        case firstSeed = "first_seed"
        case lastSeed = "last_seed"
        case violationCount = "violation_count"
        case secondsToPrimaryMax = "seconds_to_primary_max"
        case secondsToWholeMax = "seconds_to_whole_max"
    }
}
