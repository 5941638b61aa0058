/// One thing that a client asked of the database, and what came of it. All times are of one clock.
public struct HistoryEntry: Sendable, Hashable, Codable {
    public enum Action: String, Sendable, Codable, CaseIterable {
        /// Puts an element at the end of a list.
        case append
        /// Puts an element into a set.
        case insert
        case readList = "read_list"
        case readSet = "read_set"

        public var isWrite: Bool {
            switch self {
            case .append, .insert: true
            case .readList, .readSet: false
            }
        }
    }

    public enum Outcome: String, Sendable, Codable {
        case confirmed
        /// The database said no: nothing was done.
        case failed
        /// No answer: it may have been done, or be done later, or never.
        case unknown
    }

    /// A list or a set: the same number means one of each.
    public enum Kind: String, Sendable, Codable, CaseIterable { case list, set }

    public struct Key: Sendable, Hashable, Comparable, CustomStringConvertible {
        public var kind: Kind
        public var number: Int

        public init(_ kind: Kind, _ number: Int) {
            self.kind = kind
            self.number = number
        }

        public static func < (left: Self, right: Self) -> Bool {
            (left.number, left.kind.rawValue) < (right.number, right.kind.rawValue)
        }
        public var description: String { "\(kind.rawValue) \(number)" }
    }

    /// Who asked: one client that asks one thing after another. No two of a history have the same name.
    public var worker: String
    /// Counts what the worker asked.
    public var number: Int
    public var port: UInt16
    /// Counts the worker's connections.
    public var session: Int
    public var action: Action
    public var keyNumber: Int
    /// What was written, or what a read that was answered saw, in its order.
    public var elements: [Int64]
    /// Microseconds.
    public var begin: Int64
    /// Microseconds; nil for an answer that never came.
    public var end: Int64?
    public var outcome: Outcome
    /// The timeline of the primary that answered; nil for a standby's answer.
    public var timeline: UInt32?
    /// Where the answer came from.
    public var server: String?
    /// Read when all was over: what is there to stay.
    public var isFinal: Bool

    public init(
        worker: String, number: Int, port: UInt16, session: Int, action: Action, keyNumber: Int, elements: [Int64],
        begin: Int64, isFinal: Bool = false
    ) {
        self.worker = worker
        self.number = number
        self.port = port
        self.session = session
        self.action = action
        self.keyNumber = keyNumber
        self.elements = elements
        self.begin = begin
        outcome = .unknown
        self.isFinal = isFinal
    }

    public var key: Key {
        switch action {
        case .append, .readList: Key(.list, keyNumber)
        case .insert, .readSet: Key(.set, keyNumber)
        }
    }

    enum CodingKeys: String, CodingKey {
        case worker, number, port, session, action, elements, outcome, timeline, server
        case keyNumber = "key"
        case begin = "begin_us"
        case end = "end_us"
        case isFinal = "final"
    }
}

/// Where clients of a cluster go.
public enum HistoryPort {
    public static let primary: UInt16 = 5432
    public static let replica: UInt16 = 5433
}
