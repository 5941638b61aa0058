import NIOCore
import RoostBalancing
import RoostModel
import Synchronization

/// The queue of all event loops, and the way to call sessions out of it.
final class WaitingRoom: Sendable {
    private let queue: Mutex<HoldQueue>
    private let loops = Mutex<[LoopHandle]>([])

    init(limits: HoldQueue.Limits) { queue = Mutex(HoldQueue(limits: limits)) }

    func begin(_ loops: [LoopHandle]) { self.loops.withLock { $0 = loops } }

    var count: Int { queue.withLock { $0.count } }

    func arrive(_ session: SessionID, at door: Door, isOpen: Bool, now: Moment) -> HoldQueue.Decision {
        queue.withLock { $0.arrive(session, at: door, isOpen: isOpen, now: now) }
    }

    func attemptFailed(_ session: SessionID, at door: Door, ticket: HoldTicket?, now: Moment) -> HoldQueue.Decision {
        queue.withLock { $0.attemptFailed(session, at: door, ticket: ticket, now: now) }
    }

    func attemptSucceeded(_ session: SessionID, at door: Door, ticket: HoldTicket?) {
        call(queue.withLock { $0.attemptSucceeded(session, at: door, ticket: ticket) })
    }

    func opened(_ door: Door) { call(queue.withLock { $0.opened(door) }) }
    func retry(_ door: Door) { call(queue.withLock { $0.retry(door) }) }
    func leave(_ door: Door, ticket: HoldTicket) { queue.withLock { $0.leave(door, ticket: ticket) } }

    /// In order on each loop. Never at once, also on the caller's own loop: it is in the middle of something.
    private func call(_ sessions: [SessionID]) {
        guard !sessions.isEmpty else { return }
        let byLoop = Dictionary(grouping: sessions, by: EdgeLoop.index)
        let loops = loops.withLock { $0 }
        for (index, sessions) in byLoop where loops.indices.contains(index) {
            loops[index].execute { $0.resume(sessions) }
        }
    }
}

/// An event loop's part of the edge, as the other threads may hold it.
struct LoopHandle: Sendable {
    let eventLoop: any EventLoop
    private let edge: NIOLoopBound<EdgeLoop>

    /// On the loop.
    init(_ edge: EdgeLoop) {
        eventLoop = edge.eventLoop
        self.edge = NIOLoopBound(edge, eventLoop: edge.eventLoop)
    }

    func execute(_ work: @escaping @Sendable (EdgeLoop) -> Void) {
        eventLoop.execute { work(edge.value) }
    }

    /// On the loop: for channel initializers.
    var present: EdgeLoop { edge.value }
}
