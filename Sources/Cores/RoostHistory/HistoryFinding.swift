/// Something in a history that no database that keeps its promises can have done.
public struct HistoryFinding: Sendable, Hashable, Comparable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable, Codable {
        /// Confirmed, and not there in the end.
        case lost
        /// Read, although nobody wrote it, or not yet, or it was refused.
        case phantom
        /// Twice in one answer.
        case duplicated
        /// Read by somebody, and not there in the end.
        case vanished
        /// A list is read in another order than it has in the end.
        case disordered
        /// What a session saw, it sees no more.
        case backwards
        /// A read at the primary's port lacks what was confirmed, or read there, before it began.
        case stale
    }

    public var kind: Kind
    public var key: HistoryEntry.Key
    public var element: Int64
    /// The entry at which it shows: the write that was lost, or the read that is wrong.
    public var worker: String
    public var number: Int
    public var detail: String

    init(_ kind: Kind, _ entry: HistoryEntry, _ element: Int64, _ detail: String) {
        self.kind = kind
        key = entry.key
        self.element = element
        worker = entry.worker
        number = entry.number
        self.detail = detail
    }

    public static func < (left: Self, right: Self) -> Bool {
        (left.key, left.element, left.kind.rawValue, left.worker, left.number)
            < (right.key, right.element, right.kind.rawValue, right.worker, right.number)
    }

    public var description: String { "\(kind.rawValue): \(key), element \(element): \(detail)" }
}
