import RoostModel
import RoostPostgresWire
import Testing

@testable import RoostRouting

/// Many sessions of one edge, its shared state, its cluster and its clients, with every kind of fault, on a clock of
/// its own. Deliveries are steps of a random walk: any order that keeps each direction's order.
final class SimulatedEdge {
    var random: SplitMix64
    private(set) var now = Moment.zero
    private var sessions: [SessionID: SimulatedSession] = [:]
    private(set) var ended: [SimulatedSession] = []
    private var queue: HoldQueue
    private var logins: LoginPlaces
    private var admission: Admission
    private var silence = SilentBackends()
    private var manners: [MemberName: Manner] = [:]
    private let members: [Backend]
    private(set) var route: ClusterRoute?
    private var pending: [(SessionID, SessionCore.Event)] = []
    private var retries: [Door: Moment] = [:]
    private var next: UInt64 = 0
    private var steps = 0
    private var isFaulty = true
    private let app: AppName
    private let limits: SessionCore.Limits
    static let loginLimits = LoginPlaces.Limits(serviceMax: 3, sourceMax: 2, waitingMax: 4, waitingSourceMax: 2)
    static let holdLimits = HoldQueue.Limits(
        edgeMax: 12, edgeSourceMax: 6, doorMax: 8, doorSourceMax: 4, burstMax: 4, burstSourceMax: 2, scoutsMax: 2,
        scoutsSourceMax: 1)

    init(seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        app = try AppName("db")
        queue = HoldQueue(limits: Self.holdLimits)
        logins = LoginPlaces(limits: Self.loginLimits)
        admission = Admission(
            limits: .init(edgeMax: 20, sourceMax: 12, sourceOpeningsMax: 8, serviceMax: 14, refusalsMax: 3))
        members = try ["a", "b", "c"].map {
            Backend(member: try MemberName($0), address: IPv6Address(high: 1, low: UInt64($0.utf8.first ?? 0)))
        }
        limits = SessionCore.Limits()
        for member in members { manners[member.member] = .serves }
        route = makeRoute(epoch: 1, leader: 0)
    }

    private func makeRoute(epoch: UInt64, leader: Int, isOpen: Bool = true, isRecruiting: Bool = false) -> ClusterRoute
    {
        let replicas = members.indices.filter { $0 != leader }.map {
            Replica(
                backend: members[$0], roundTrip: .milliseconds($0), isStreaming: true, lagBytes: 0, lag: .zero)
        }
        return ClusterRoute(
            app: app, epoch: Epoch(epoch), leader: members[leader], isOpen: isOpen, isRecruiting: isRecruiting,
            replicas: replicas)
    }

    // MARK: - The run

    func run() {
        for _ in 0..<600 { step() }
        heal()
        // More than any session may take that nobody disturbs.
        let healed = now
        while now - healed < .seconds(45) { step() }
        for id in sessions.keys.sorted() {
            if let session = sessions[id], !session.hasLeft { leave(session) }
        }
        for _ in 0..<20 { step() }
        check()
    }

    private func heal() {
        isFaulty = false
        for member in members { manners[member.member] = .serves }
        change(makeRoute(epoch: (route?.epoch.number ?? 50) + 1, leader: 0))
    }

    private func step() {
        now = now + .milliseconds(Int.random(in: 0...100, using: &random))
        if isFaulty { disturb() }
        tick()
        for id in sessions.keys.sorted() {
            guard let session = sessions[id] else { continue }
            act(session)
            deliver(session)
            drain()
        }
        steps += 1
        if steps.isMultiple(of: 10) { check() }
    }

    private func disturb() {
        switch Int.random(in: 0..<30, using: &random) {
        case 0..<6: arrive()
        case 6:
            let member = members.randomElement(using: &random) ?? members[0]
            manners[member.member] = Manner.allCases.randomElement(using: &random)
        case 7:
            let epoch = (route?.epoch.number ?? 1) + UInt64.random(in: 0...1, using: &random)
            change(
                makeRoute(
                    epoch: epoch, leader: Int.random(in: 0..<3, using: &random),
                    isOpen: Bool.random(using: &random), isRecruiting: Int.random(in: 0..<4, using: &random) == 0))
        case 8 where Int.random(in: 0..<10, using: &random) == 0: change(nil)
        case 9:
            guard let session = sessions.values.min(by: { $0.core.id < $1.core.id }) else { return }
            session.member?.end()
            session.memberHasEnded = session.member != nil
        case _: return
        }
    }

    private func change(_ new: ClusterRoute?) {
        route = new
        for id in sessions.keys.sorted() { pending.append((id, .routeChanged(new))) }
        drain()
        guard let new else { return }
        for access in Access.allCases where !new.candidates(for: access, within: limits.replicas).isEmpty {
            call(queue.opened(Door(app: app, access: access)), .called)
        }
        drain()
    }

    private func tick() {
        for id in sessions.keys.sorted() {
            if let deadline = sessions[id]?.core.deadline, deadline <= now { pending.append((id, .deadlinePassed)) }
            if Int.random(in: 0..<20, using: &random) == 0 { pending.append((id, .reviewDue)) }
        }
        for (door, due) in retries where due <= now {
            retries[door] = nil
            guard let route, !route.candidates(for: door.access, within: limits.replicas).isEmpty else { continue }
            call(queue.retry(door), .called)
        }
        drain()
    }

    private func check() {
        #expect(logins.taken(at: app) <= Self.loginLimits.serviceMax)
        #expect(queue.count <= Self.holdLimits.edgeMax)
        for source in Set(sessions.values.map(\.source)) {
            #expect(queue.waiting(from: source) <= Self.holdLimits.edgeSourceMax)
        }
        for session in sessions.values {
            #expect(session.areMembersTrue, "a member got what the client did not say")
            #expect(!session.wantsToReplicate || session.members.isEmpty, "a member was asked for a walsender")
            #expect(session.isStreamTrue, "the client got what no member said: \(session.got)")
        }
    }

    /// Nothing is held by nobody.
    var isClean: Bool { sessions.isEmpty && queue.count == 0 && logins.isEmpty && admission.isEmpty }
    var state: String { "\(sessions.count) sessions, \(queue.count) queued, logins empty: \(logins.isEmpty)" }

    // MARK: - Clients

    private func arrive() {
        next += 1
        let id = SessionID(next)
        let source = SourcePrefix(of: IPv4Address(bits: UInt32.random(in: 1...4, using: &random) << 8))
        let answer = admission.arrive(from: source, now: now)
        let core = SessionCore(
            id: id, client: IPv4Address(bits: 2), address: IPv4Address(bits: 1),
            access: Access.allCases.randomElement(using: &random) ?? .write,
            route: route, limits: limits, now: now)
        switch answer {
        case .dropped: return
        case .admitted(let place):
            sessions[id] = SimulatedSession(core, place: place, source: source)
        case .refused(let refusal, let place):
            sessions[id] = SimulatedSession(core, place: place, source: source)
            pending.append((id, .turnedAway(refusal)))
            drain()
        }
    }

    /// What the client does next: at most one thing a step.
    private func act(_ session: SimulatedSession) {
        guard !session.hasLeft, !session.isStuck else { return }
        if session.isToldEnd { return leave(session) }
        let whim = Int.random(in: 0..<200, using: &random)
        if isFaulty {
            if whim == 0 {
                session.leftByWhim = true
                return leave(session)
            }
            if whim == 1 { session.hasEnded = true }
            if whim == 2 { session.isStuck = true }
        }
        guard !session.hasEnded, !session.isStuck else { return }
        if !session.hasSaidStartup {
            if !session.hasAskedForTLS, whim < 60 {
                session.fromClient += [0, 0, 0, 8, 4, 210, 22, 47]
                session.hasAskedForTLS = true
            } else if !session.hasAskedForTLS || session.answers == 1 {
                session.hasSaidStartup = true
                session.wantsToReplicate = whim.isMultiple(of: 8)
                say(session, startup(session.wantsToReplicate ? "user\0open\0replication\0on\0\0" : "user\0open\0\0"))
                // Some do not wait for an answer.
                if whim > 190 { say(session, Array("early".utf8)) }
            }
        } else if !session.hasAnsweredPassword, session.body.starts(with: authentication(3)) {
            session.hasAnsweredPassword = true
            say(session, message("p", Array("secret\0".utf8)))
        } else if session.wasServed, whim < 100, session.speeches < 6 {
            session.speeches += 1
            say(session, (0...whim).map { UInt8(truncatingIfNeeded: $0 &* whim) })
        }
        if session.body.suffix(readyForQuery.count) == readyForQuery[...] { session.wasServed = true }
    }

    private func say(_ session: SimulatedSession, _ bytes: [UInt8]) {
        session.meant += bytes
        session.fromClient += bytes
    }

    private func leave(_ session: SimulatedSession) {
        session.hasLeft = true
        pending.append((session.core.id, .clientGone))
        drain()
    }

    // MARK: - Deliveries

    private func deliver(_ session: SimulatedSession) {
        let id = session.core.id
        // A socket is read where somebody reads, and whole when its other side has ended.
        if session.relaysClient || session.core.readsClient || session.hasEnded {
            let count = session.hasEnded ? session.fromClient.count : piece(of: session.fromClient.count)
            let bytes = Array(session.fromClient.prefix(count))
            session.fromClient.removeFirst(count)
            if !bytes.isEmpty {
                if session.relaysClient { give(bytes, to: session) } else { pending.append((id, .clientSaid(bytes))) }
            }
            if session.hasEnded, !session.hasLeft { pending.append((id, .clientSaidAll)) }
            drain()
        }
        guard let member = session.member else { return }
        if session.relaysMember || session.core.readsBackend {
            let count = piece(of: session.fromMember.count)
            let bytes = Array(session.fromMember.prefix(count))
            session.fromMember.removeFirst(count)
            if !bytes.isEmpty {
                if session.relaysMember {
                    session.got += bytes
                } else {
                    pending.append((id, .backendSaid(attempt: member.attempt, bytes)))
                }
            }
            drain()
            guard session.member === member, session.memberHasEnded, session.fromMember.isEmpty else { return }
            pending.append((id, .backendEnded(attempt: member.attempt)))
            drain()
        }
    }

    private func piece(of count: Int) -> Int { min(count, Int.random(in: 0...40, using: &random)) }

    private func give(_ bytes: [UInt8], to session: SimulatedSession) {
        guard let member = session.member else { return }
        let (answer, ends) = member.get(bytes)
        session.fromMember += answer
        if ends { session.memberHasEnded = true }
    }

    // MARK: - The shell

    private func call(_ ids: [SessionID], _ event: SessionCore.Event) {
        for id in ids { pending.append((id, event)) }
    }

    private func drain() {
        while !pending.isEmpty {
            let (id, event) = pending.removeFirst()
            guard let session = sessions[id] else { continue }
            for action in session.core.receive(event, now: now) { perform(action, session) }
        }
    }

    private func answer(_ session: SimulatedSession, _ event: SessionCore.Event) {
        pending.insert((session.core.id, event), at: 0)
    }

    private func perform(_ action: SessionCore.Action, _ session: SimulatedSession) {
        let id = session.core.id
        switch action {
        case .send(let bytes):
            if session.members.isEmpty { session.answers += 1 }
            session.got += bytes
        case .farewell(let bytes):
            session.farewell = bytes
            session.got += bytes
            session.relaysClient = false
            // A client that does not read may keep the last bytes from leaving.
            guard !session.isStuck else { return }
            session.isToldEnd = true
            pending.append((id, .farewellSent))
        case .close:
            #expect(session.member == nil, "closed with a member's connection open")
            admission.leave(session.place)
            sessions[id] = nil
            ended.append(session)
        case .join(let app):
            do throws(Admission.Refusal) {
                try admission.join(app, &session.place)
                answer(session, .joined)
            } catch {
                answer(session, .turnedAway(error))
            }
        case .enqueue(let door, let isOpen):
            answer(session, .decided(queue.arrive(id, from: session.source, at: door, isOpen: isOpen, now: now)))
        case .enqueueAgain(let door, let ticket):
            let source = session.source
            answer(session, .decided(queue.attemptFailed(id, from: source, at: door, ticket: ticket, now: now)))
        case .leaveQueue(let door, let ticket): queue.leave(door, ticket: ticket)
        case .retryLater(let door): retries[door] = retries[door] ?? now + .milliseconds(75)
        case .reached(let door, let ticket):
            call(queue.attemptSucceeded(id, at: door, ticket: ticket), .called)
        case .askPlace(let app):
            switch logins.ask(id, at: app, from: session.source) {
            case .given: answer(session, .placed)
            case .wait: answer(session, .placeDue)
            case .crowded: answer(session, .placesCrowded(ofSource: false))
            case .sourceCrowded: answer(session, .placesCrowded(ofSource: true))
            }
        case .leavePlaces(let app): call(logins.leave(id, at: app, from: session.source), .placed)
        case .returnPlace(let app): call(logins.giveBack(at: app, from: session.source), .placed)
        case .pick(let candidates):
            if let backend = silence.pick(candidates, now: now) { answer(session, .picked(backend)) }
        case .note(.silent(let backend)): silence.wasSilent(backend, now: now)
        case .note(.answered(let backend)): silence.answered(backend)
        case .note: return
        case .beginTLS, .cancel: Issue.record("nobody asked for it")
        case .connect, .sendBackend, .closeBackend, .finishBackend, .relayClient, .relayBackend:
            performOnMember(action, session)
        }
    }

    private func performOnMember(_ action: SessionCore.Action, _ session: SimulatedSession) {
        switch action {
        case .connect(let backend, let attempt): connect(session, backend, attempt)
        case .sendBackend(let bytes): give(bytes, to: session)
        case .closeBackend:
            session.member = nil
            session.fromMember = []
            session.memberHasEnded = false
            session.relaysClient = false
            session.relaysMember = false
        case .finishBackend:
            // Postgres ends at once when its client does.
            session.memberHasEnded = true
        case .relayClient: session.relaysClient = true
        case .relayBackend: session.relaysMember = true
        case _: Issue.record("not an action on a member: \(action)")
        }
    }

    private func connect(_ session: SimulatedSession, _ backend: Backend, _ attempt: Int) {
        #expect(session.member == nil, "two members at a time")
        let manner = manners[backend.member] ?? .serves
        let id = session.core.id
        let member = MemberConnection(attempt: attempt, backend: backend, manner: manner)
        session.member = member
        session.members.append(member)
        switch manner {
        case .refuses: pending.append((id, .backendFailed(attempt: attempt, .unreachable)))
        case .unreachableForShortage: pending.append((id, .backendFailed(attempt: attempt, .short(.ports))))
        case .serves, .asksForPassword, .starting, .standby, .silent, .closes, .half:
            // One in ten connections takes longer than anybody waits for it.
            if isFaulty, Int.random(in: 0..<10, using: &random) == 0 { return }
            pending.append((id, .backendConnected(attempt: attempt)))
        }
    }
}
