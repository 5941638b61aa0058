import RoostFailover
import RoostLinux
import RoostModel
import RoostReaders
import RoostWire
import Synchronization

/// What waits for a member's core. One thread takes, all may put.
final class EventQueue: Sendable {
    static let eventsMax = 1024
    private static let waitMax = Duration.seconds(1)

    struct Entry: Sendable {
        var event: FailoverEvent
        /// Of a reader's sample: as of which seat its Postgres was led then.
        var seat: ReaderSeat?
    }

    private struct State {
        var entries: [Entry] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let bell: Bell

    init() throws(SystemError) {
        bell = try Bell()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func close() {
        state.withLock { $0.isClosed = true }
        bell.ring()
    }

    func put(_ event: FailoverEvent, at seat: ReaderSeat? = nil) {
        let entry = Entry(event: event, seat: seat)
        state.withLock { state in
            switch event {
            // Many of these may come, and the next one says it again.
            case .viewed(_, by: .watch), .viewed(_, by: .kept), .observed, .heard, .tick:
                if state.entries.count < Self.eventsMax { state.entries.append(entry) }
            case .viewed(_, by: .read), .readFailed, .ruleAnswered, .heartbeatAnswered, .reportAnswered,
                .operationEnded,
                .postgresExited, .cannotFollow, .leaderLostLog, .gateAnswered, .volumeHangs, .volumeFailed, .terminate:
                state.entries.append(entry)
            }
        }
        bell.ring()
    }

    /// All that waits, at the latest when `moment` has come.
    func take(until moment: Moment) -> [FailoverEvent] { takeEntries(until: moment).map(\.event) }

    func takeEntries(until moment: Moment) -> [Entry] {
        let waiting = drain()
        if !waiting.isEmpty { return waiting }
        let left = min(moment - BootClock.now(), Self.waitMax)
        bell.wait(within: left)
        return drain()
    }

    private func drain() -> [Entry] {
        state.withLock { state in
            defer { state.entries = [] }
            return state.entries
        }
    }
}

/// The cluster's records as last heard, whichever way.
final class KnownCluster: Sendable {
    private let state: Mutex<ClusterView>

    init(_ view: ClusterView) { state = Mutex(view) }

    var view: ClusterView { state.withLock { $0 } }

    /// - Parameter asked: of a read, the revision that was known before it was asked for. What the store answers then is
    ///   never older, unless it has gone back; everything else that is older came late.
    func learn(_ view: ClusterView, asked: Int64? = nil) {
        state.withLock { known in
            let hasGoneBack = asked.map { view.revision < $0 } ?? false
            if view.revision >= known.revision || hasGoneBack { known = view }
        }
    }
}
