import NIOCore
import RoostModel
import RoostRouting
import Synchronization

/// What the sessions of all event loops share, and the way to call them. Nothing of it is on the way of a byte.
final class SharedRouting: Sendable {
    private let queue: Mutex<HoldQueue>
    private let admission: Mutex<Admission>
    private let logins: Mutex<LoginPlaces>
    private let silence: Mutex<SilentBackends>
    private let loops = Mutex<[LoopHandle]>([])

    init(_ configuration: EdgeConfiguration, _ room: FileRoom) {
        var limits = configuration.admission
        limits.edgeMax = min(limits.edgeMax, room.sessions)
        limits.refusalsMax = min(limits.refusalsMax, room.refusals)
        queue = Mutex(HoldQueue(limits: configuration.hold))
        admission = Mutex(Admission(limits: limits))
        logins = Mutex(LoginPlaces(limits: configuration.logins))
        silence = Mutex(SilentBackends(limits: configuration.silence))
    }

    func begin(_ loops: [LoopHandle]) { self.loops.withLock { $0 = loops } }

    // MARK: Who may come in

    func arrive(from source: SourcePrefix, isOwn: Bool, now: Moment) -> Admission.Answer {
        admission.withLock { $0.arrive(from: source, isOwn: isOwn, now: now) }
    }

    func join(_ app: AppName, _ place: inout Admission.Place) throws(Admission.Refusal) {
        // The place is a copy while the lock is held: a closure cannot take an inout parameter along.
        let result = admission.withLock { [place] admission -> Result<Admission.Place, Admission.Refusal> in
            var place = place
            do throws(Admission.Refusal) {
                try admission.join(app, &place)
                return .success(place)
            } catch {
                return .failure(error)
            }
        }
        place = try result.get()
    }

    func leave(_ place: Admission.Place) { admission.withLock { $0.leave(place) } }

    func mayCancel(from source: SourcePrefix, to app: AppName, now: Moment) -> Bool {
        admission.withLock { $0.mayCancel(from: source, to: app, now: now) }
    }

    // MARK: The queue

    var held: Int { queue.withLock { $0.count } }

    func arrive(_ session: SessionID, from source: SourcePrefix, at door: Door, isOpen: Bool, now: Moment)
        -> HoldQueue.Decision
    {
        queue.withLock { $0.arrive(session, from: source, at: door, isOpen: isOpen, now: now) }
    }

    func attemptFailed(
        _ session: SessionID, from source: SourcePrefix, at door: Door, ticket: HoldTicket?, now: Moment
    ) -> HoldQueue.Decision {
        queue.withLock { $0.attemptFailed(session, from: source, at: door, ticket: ticket, now: now) }
    }

    func attemptSucceeded(_ session: SessionID, at door: Door, ticket: HoldTicket?) {
        call(queue.withLock { $0.attemptSucceeded(session, at: door, ticket: ticket) }, .called)
    }

    func opened(_ door: Door) { call(queue.withLock { $0.opened(door) }, .called) }
    func retry(_ door: Door) { call(queue.withLock { $0.retry(door) }, .called) }
    func leave(_ door: Door, ticket: HoldTicket) { queue.withLock { $0.leave(door, ticket: ticket) } }

    // MARK: Places for logins

    func share(among edges: Int) { call(logins.withLock { $0.share(among: edges) }, .placed) }

    func askPlace(_ session: SessionID, at app: AppName, from source: SourcePrefix) -> LoginPlaces.Answer {
        logins.withLock { $0.ask(session, at: app, from: source) }
    }

    func returnPlace(at app: AppName, from source: SourcePrefix) {
        call(logins.withLock { $0.giveBack(at: app, from: source) }, .placed)
    }

    func leavePlaces(_ session: SessionID, at app: AppName, from source: SourcePrefix) {
        call(logins.withLock { $0.leave(session, at: app, from: source) }, .placed)
    }

    // MARK: Silent members

    func pick(_ candidates: [Backend], now: Moment) -> Backend? {
        silence.withLock { $0.pick(candidates, now: now) }
    }

    func wasSilent(_ backend: Backend, now: Moment) { silence.withLock { $0.wasSilent(backend, now: now) } }
    func answered(_ backend: Backend) { silence.withLock { $0.answered(backend) } }

    // MARK: Calling

    enum Call { case called, placed }

    /// In order on each loop. Never at once, also on the caller's own loop: it is in the middle of something.
    private func call(_ sessions: [SessionID], _ call: Call) {
        guard !sessions.isEmpty else { return }
        let byLoop = Dictionary(grouping: sessions, by: EdgeLoop.index)
        let loops = loops.withLock { $0 }
        for (index, sessions) in byLoop where loops.indices.contains(index) {
            loops[index].execute { $0.call(sessions, call) }
        }
    }
}

/// An event loop's part of the edge, as the other threads may hold it.
struct LoopHandle: Sendable {
    let eventLoop: any EventLoop
    let pulse: LoopPulse
    private let edge: NIOLoopBound<EdgeLoop>

    /// On the loop.
    init(_ edge: EdgeLoop) {
        eventLoop = edge.eventLoop
        pulse = edge.pulse
        self.edge = NIOLoopBound(edge, eventLoop: edge.eventLoop)
    }

    func execute(_ work: @escaping @Sendable (EdgeLoop) -> Void) {
        eventLoop.execute { work(edge.value) }
    }

    /// On the loop: for channel initializers.
    var present: EdgeLoop { edge.value }
}
