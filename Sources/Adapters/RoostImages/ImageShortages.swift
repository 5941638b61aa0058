import RoostModel
import Synchronization

/// What did not fit on the disk while it was fetched or unpacked. It is not begun again at once: a machine that is to
/// run is tried every half minute, and each try would fill the disk for everybody.
struct ImageShortages {
    /// So long, or until more is free than when it was begun.
    static let pause = Duration.seconds(600)
    /// Less than that more is nobody's doing: logs come and go.
    static let roomGained = ByteCount.mebibytes(256)
    static let countMax = 1024

    private struct Shortage {
        var free: ByteCount
        var at: Moment
    }

    private var shortages: [String: Shortage] = [:]

    /// - Parameter free: when it was begun.
    mutating func note(_ name: String, begunWith free: ByteCount, at now: Moment) {
        shortages = shortages.filter { now - $0.value.at < Self.pause }
        if shortages.count >= Self.countMax, let oldest = shortages.min(by: { $0.value.at < $1.value.at }) {
            shortages[oldest.key] = nil
        }
        shortages[name] = Shortage(free: free, at: now)
    }

    func isPausing(_ name: String, free: ByteCount, at now: Moment) -> Bool {
        guard let shortage = shortages[name], now - shortage.at < Self.pause else { return false }
        return free - shortage.free < Self.roomGained
    }
}

/// One store's, for all that work with it.
final class SharedShortages: Sendable {
    private let state = Mutex(ImageShortages())

    func withLock<Value>(_ body: (inout ImageShortages) -> Value) -> Value {
        state.withLock { (state: inout ImageShortages) in body(&state) }
    }
}
