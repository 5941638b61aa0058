import Glibc
import RoostModel

/// When the guard looks whether a roostd wants to come in. One that cannot be let in, for want of a descriptor for example,
/// goes on wanting: who looked at once again would do nothing else, and withdraw nothing.
struct GuardAdmission: Hashable {
    private var failedAt: Moment?

    static let pause = Duration.milliseconds(200)

    /// The visitor has gone again, or nobody was there: accept(2) says so once, and whoever comes next comes in.
    static func isOfOneVisitor(_ code: Int32) -> Bool {
        [ECONNABORTED, EAGAIN, EWOULDBLOCK, EINTR, EPROTO].contains(code)
    }

    /// Nil: it may be looked at any moment.
    func nextTry(at now: Moment) -> Moment? {
        guard let failedAt, now < failedAt + Self.pause else { return nil }
        return failedAt + Self.pause
    }

    /// - Returns: whether that is worth a word: it is the first time since somebody came in.
    mutating func failed(at now: Moment) -> Bool {
        defer { failedAt = now }
        return failedAt == nil
    }

    mutating func succeeded() { failedAt = nil }
}
