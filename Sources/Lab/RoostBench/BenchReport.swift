/// Everything that one run measured.
public struct BenchReport: Sendable, Codable {
    /// What the figures depend on most.
    public struct Computer: Sendable, Codable {
        public var processors: Int
        public var kernel: String
    }

    /// A part that came to no end.
    public struct Failure: Sendable, Codable {
        public var part: BenchPart
        public var why: String
    }

    /// Rows written while hosts were lost.
    public struct Rows: Sendable, Codable {
        public var confirmed: Int
        public var lost: Int
    }

    public var computer: Computer
    public var results: [BenchRow] = []
    /// Only of a run with the parts `gaps` or `patroni`: Roost's.
    public var rows: Rows?
    public var failures: [Failure] = []
}
