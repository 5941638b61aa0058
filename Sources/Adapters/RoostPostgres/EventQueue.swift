import CLinux
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// What waits for a member's core. One thread takes, all may put.
final class EventQueue: Sendable {
    static let eventsMax = 1024
    private static let waitMax = Duration.seconds(1)

    private struct State {
        var events: [FailoverEvent] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let bell: Int32

    init() throws(SystemError) {
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard bell >= 0 else { throw SystemError("eventfd", "events") }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func close() {
        state.withLock { $0.isClosed = true }
        ring()
    }

    func put(_ event: FailoverEvent) {
        state.withLock { state in
            switch event {
            // Many of these may come, and the next one says it again.
            case .viewed(_, by: .watch), .observed, .tick:
                if state.events.count < Self.eventsMax { state.events.append(event) }
            case .viewed(_, by: .read), .readFailed, .ruleAnswered, .heartbeatAnswered, .reportAnswered,
                .operationEnded,
                .postgresExited, .cannotFollow, .gateAnswered, .terminate:
                state.events.append(event)
            }
        }
        ring()
    }

    /// All that waits, at the latest when `moment` has come.
    func take(until moment: Moment) -> [FailoverEvent] {
        let waiting = drain()
        if !waiting.isEmpty { return waiting }
        let left = min(moment - BootClock.now(), Self.waitMax)
        var entry = pollfd(fd: bell, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, Int32(clamping: max(left.milliseconds + 1, 0)))
        var count: UInt64 = 0
        _ = read(bell, &count, 8)
        return drain()
    }

    private func drain() -> [FailoverEvent] {
        state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }
}

/// The cluster's records as last heard, whichever way.
final class KnownCluster: Sendable {
    private let state: Mutex<ClusterView>

    init(_ view: ClusterView) { state = Mutex(view) }

    var view: ClusterView { state.withLock { $0 } }

    func learn(_ view: ClusterView) {
        state.withLock { known in
            if view.revision >= known.revision { known = view }
        }
    }
}
