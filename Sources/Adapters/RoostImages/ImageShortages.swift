import RoostModel
import Synchronization

/// What did not fit on the disk while it was fetched or unpacked. It is not begun again at once: a machine that is to
/// run is tried every half minute, and each try would fill the disk for everybody. Nor beside another of its kind: what
/// fits alone need not fit together, and those that were ended together would come back together. Pure.
struct ImageShortages {
    /// So long, or until there is room for more than it had written. By that alone, and not by what the whole disk lost:
    /// of several works that were ended together one may have filled it, and the others are small.
    static let pause = Duration.seconds(600)
    /// So long it is known that it did not fit, so that it has to wait for its turn. Those that were ended together have
    /// their pauses over together too.
    static let memory = Duration.seconds(3600)
    /// Less than that more is nobody's doing: logs come and go.
    static let margin = ByteCount.mebibytes(256)
    static let countMax = 1024

    private struct Shortage {
        var written: ByteCount
        var at: Moment
    }

    private var shortages: [String: Shortage] = [:]
    /// What did not fit before and is at work again, and how often at once (by several names of one image).
    private var turn: (name: String, works: Int)?

    /// - Parameter written: by it alone, when it was ended.
    mutating func note(_ name: String, written: ByteCount, at now: Moment) {
        shortages = shortages.filter { now - $0.value.at < Self.memory }
        if shortages.count >= Self.countMax, let oldest = shortages.min(by: { $0.value.at < $1.value.at }) {
            shortages[oldest.key] = nil
        }
        shortages[name] = Shortage(written: written, at: now)
    }

    enum Leave: Hashable {
        /// It did not fit before and would not now, or another that did not fit is at work.
        case refused
        case free
        /// To be given back (``end(_:)``), whatever came of it.
        case turn
    }

    /// - Parameter room: free above what is left for others.
    mutating func begin(_ name: String, room: ByteCount, at now: Moment) -> Leave {
        guard let shortage = shortages[name], now - shortage.at < Self.memory else { return .free }
        let hasRest = now - shortage.at >= Self.pause
        guard hasRest || room >= shortage.written + Self.margin else { return .refused }
        guard let other = turn else {
            turn = (name, 1)
            return .turn
        }
        guard other.name == name else { return .refused }
        turn = (name, other.works + 1)
        return .turn
    }

    /// Gives a turn back.
    mutating func end(_ name: String) {
        guard let own = turn, own.name == name else { return }
        turn = own.works > 1 ? (name, own.works - 1) : nil
    }

    /// All of it is there.
    mutating func forget(_ name: String) { shortages[name] = nil }
}

/// One store's, for all that work with it.
final class SharedShortages: Sendable {
    private let state = Mutex(ImageShortages())

    func withLock<Value>(_ body: (inout ImageShortages) -> Value) -> Value {
        state.withLock { (state: inout ImageShortages) in body(&state) }
    }
}
