public import RoostHistory

/// What a check found.
public struct CheckReport: Sendable, Codable {
    public struct Fault: Sendable, Codable, Hashable {
        public var what: String
        /// The host that it came to, where that was not said before.
        public var host: String?
        /// Since the clients began.
        public var atMilliseconds: Int64
        public var lengthMilliseconds: Int64
        /// Why it was not done, or not mended when its time was over.
        public var trouble: String?

        enum CodingKeys: String, CodingKey {
            case what, host, trouble
            case atMilliseconds = "at_ms"
            case lengthMilliseconds = "length_ms"
        }
    }

    public struct Violation: Sendable, Codable, Hashable {
        public var kind: HistoryFinding.Kind
        public var what: String
        /// The key's history around it.
        public var history: [String]
    }

    public var seed: UInt64
    public var lab: String
    public var seconds: Double
    /// It was ended before its time.
    public var wasEnded: Bool
    public var faults: [Fault]
    public var counts: HistoryJudge.Counts
    /// How old what the replicas' port showed was, at most.
    public var replicaLagMilliseconds: Int64
    /// How old what a primary showed was that had been replaced, at most.
    public var displacedLagMilliseconds: Int64
    public var violationCount: Int
    /// The first of them.
    public var violations: [Violation]
    /// Where the whole history is.
    public var historyFile: String

    enum CodingKeys: String, CodingKey {
        case seed, lab, seconds, faults, counts, violations
        case wasEnded = "ended_early"
        case replicaLagMilliseconds = "replica_lag_max_ms"
        case displacedLagMilliseconds = "displaced_lag_max_ms"
        case violationCount = "violation_count"
        case historyFile = "history_file"
    }
}
