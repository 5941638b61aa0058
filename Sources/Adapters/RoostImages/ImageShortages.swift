import RoostModel
import Synchronization

/// What did not fit on the disk while it was fetched or unpacked. It is not begun again at once: a machine that is to
/// run is tried every half minute, and each try would fill the disk for everybody.
struct ImageShortages {
    /// So long, or until there is room for more than it had written. By that alone, and not by what the whole disk lost:
    /// of several works that were ended together one may have filled it, and the others are small.
    static let pause = Duration.seconds(600)
    /// Less than that more is nobody's doing: logs come and go.
    static let margin = ByteCount.mebibytes(256)
    static let countMax = 1024

    private struct Shortage {
        var written: ByteCount
        var at: Moment
    }

    private var shortages: [String: Shortage] = [:]

    /// - Parameter written: by it alone, when it was ended.
    mutating func note(_ name: String, written: ByteCount, at now: Moment) {
        shortages = shortages.filter { now - $0.value.at < Self.pause }
        if shortages.count >= Self.countMax, let oldest = shortages.min(by: { $0.value.at < $1.value.at }) {
            shortages[oldest.key] = nil
        }
        shortages[name] = Shortage(written: written, at: now)
    }

    /// - Parameter room: free above what is left for others.
    func isPausing(_ name: String, room: ByteCount, at now: Moment) -> Bool {
        guard let shortage = shortages[name], now - shortage.at < Self.pause else { return false }
        return room < shortage.written + Self.margin
    }
}

/// One store's, for all that work with it.
final class SharedShortages: Sendable {
    private let state = Mutex(ImageShortages())

    func withLock<Value>(_ body: (inout ImageShortages) -> Value) -> Value {
        state.withLock { (state: inout ImageShortages) in body(&state) }
    }
}
