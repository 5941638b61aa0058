import Logging
import NIOCore
import NIOTLS
import RoostBalancing
import RoostModel

/// One client connection, from its first byte to its last. Lives on one event loop, with both its connections.
final class Session {
    enum Phase {
        /// Reads what the client says first. Becomes held, connecting, cancelling or farewell.
        case opening
        /// Waits for its cluster to have a backend. Becomes connecting or farewell.
        case held
        /// Connects to a backend. Becomes login, connecting (the next backend), held or farewell.
        case connecting
        /// The backend has the startup packet. Becomes relaying, connecting, held or farewell.
        case login
        /// Bytes go through unseen. Becomes farewell or closed.
        case relaying
        /// Its cancel request is on its way. Becomes closed.
        case cancelling
        /// The client's last bytes are being sent. Becomes closed.
        case farewell
        /// Both connections are closed, and nobody knows the session any more.
        case closed
    }

    let id: SessionID
    let loop: EdgeLoop
    let address: IPv4Address
    let access: Access
    let clientChannel: any Channel

    private(set) var phase = Phase.opening
    /// When the present phase is too long; nil: never.
    private(set) var deadline: NIODeadline?

    private(set) lazy var client = Leg(.client, of: self)
    private var backend: Leg?
    private var reader = StartupReader()
    private var isTLS = false
    /// TLS without asking: the client must name the protocol in the handshake.
    private var mustNegotiate = false

    /// What the backend gets first. Kept until a backend has answered.
    private var startup: [UInt8] = []
    private var door: Door?
    private var ticket: HoldTicket?
    private var standing: SessionStanding?
    private var login: BackendLogin?
    /// Members that failed in this round of attempts.
    private var tried: Set<MemberName> = []
    /// Tells an attempt that was given up from the present one.
    private var attempt = 0
    private var canceller: CancelForwarder?

    init(id: SessionID, loop: EdgeLoop, address: IPv4Address, access: Access, client: any Channel) {
        self.id = id
        self.loop = loop
        self.address = address
        self.access = access
        self.clientChannel = client
        self.deadline = .now() + loop.configuration.startupTime.timeAmount
    }

    func began(_ side: Leg.Side) {
        switch side {
        case .client: client.read()
        case .backend: connected()
        }
    }

    private func enter(_ phase: Phase, for time: Duration?) {
        if case .relaying = self.phase { loop.counters.relaying.decrement() }
        self.phase = phase
        deadline = time.map { .now() + $0.timeAmount }
        loop.settle(self)
    }

    // MARK: - What the client says first

    func received(_ buffer: ByteBuffer, on side: Leg.Side) {
        switch (side, phase) {
        case (.client, .opening):
            do {
                guard let request = try reader.read(buffer.readableBytesView) else { return }
                answer(request)
            } catch {
                refuse(error.response)
            }
        case (.backend, .login):
            judge(buffer)
        case (.client, _), (.backend, _):
            // A client that speaks before its turn is not read, save for what comes with the end of its stream.
            return
        }
    }

    func receivedAll(on side: Leg.Side) {
        switch (side, phase) {
        case (.client, .opening): client.read()
        case (.backend, .login): backend?.read()
        case (.client, _), (.backend, _): return
        }
    }

    private func answer(_ request: StartupReader.Request) {
        switch request {
        case .tls:
            guard let context = loop.tlsContext(at: address) else { return client.send([UInt8(ascii: "N")]) }
            client.send([UInt8(ascii: "S")])
            beginTLS(context, with: [])
        case .gssEncryption:
            client.send([UInt8(ascii: "N")])
        case .directTLS:
            // Without a certificate there is no way to answer that the client would understand.
            guard let context = loop.tlsContext(at: address) else { return finish() }
            mustNegotiate = true
            beginTLS(context, with: reader.remainder)
        case .cancel(let cancel):
            forward(cancel)
        case .startup(let message):
            startup = message.bytes + reader.remainder
            seekBackend()
        }
    }

    private func beginTLS(_ context: TLSContext, with early: [UInt8]) {
        reader.beganTLS()
        isTLS = true
        loop.counters.tls.increment()
        do {
            try context.install(on: clientChannel, early: early)
        } catch {
            loop.logger.warning("could not begin TLS", metadata: ["address": "\(address)", "error": "\(error)"])
            finish()
        }
    }

    func tlsBegan(protocol name: String?) {
        guard mustNegotiate, name != TLSContext.applicationProtocol else { return }
        refuse(
            ErrorResponse(
                .protocolViolation,
                "received direct SSL connection request without ALPN protocol negotiation extension"))
    }

    private func forward(_ cancel: CancelRequest) {
        let targets = loop.routes[address]?.cancelTargets(for: access) ?? []
        enter(.cancelling, for: loop.configuration.cancelTime)
        loop.counters.cancels.increment()
        let canceller = CancelForwarder(cancel.bytes, to: targets, on: loop)
        self.canceller = canceller
        // The client takes the end of its connection for "the request was handled".
        canceller.start { [weak self] in self?.finish() }
    }

    // MARK: - The way to a backend

    private func seekBackend() {
        guard let route = loop.routes[address] else { return refuse(Self.nothingHere(address)) }
        guard isTLS || !route.requiresTLS else {
            return refuse(
                ErrorResponse(
                    .invalidAuthorization, "cluster \(route.app) accepts encrypted connections only",
                    hint: "Connect with sslmode=require or stricter."))
        }
        let door = Door(app: route.app, access: access)
        self.door = door
        let isOpen = !route.candidates(for: access, within: loop.configuration.replicas).isEmpty
        follow(loop.room.arrive(id, at: door, isOpen: isOpen, now: .present))
    }

    private func follow(_ decision: HoldQueue.Decision) {
        switch decision {
        case .attempt:
            tryNext()
        case .wait(let ticket):
            if self.ticket == nil { loop.counters.everHeld.increment() }
            self.ticket = ticket
            tried = []
            enter(.held, for: max(ticket.deadline - .present, .zero))
            if let door { loop.retryLater(door) }
        case .refuse(let refusal):
            ticket = nil
            guard let door else { return finish() }
            refuse(refusal.response(for: door.app, limits: loop.configuration.hold))
        }
    }

    /// Called out of the queue.
    func resume() {
        guard case .held = phase else { return }
        tryNext()
    }

    private func tryNext() {
        guard let route = loop.routes[address], let door, route.app == door.app else {
            return refuse(Self.nothingHere(address))
        }
        let candidates = route.candidates(for: access, within: loop.configuration.replicas)
        guard let next = candidates.first(where: { !tried.contains($0.member) }) else {
            return follow(loop.room.attemptFailed(id, at: door, ticket: ticket, now: .present))
        }
        attempt += 1
        let number = attempt
        standing = SessionStanding(access: access, backend: next, under: route)
        enter(.connecting, for: nil)
        let this = NIOLoopBound(self, eventLoop: loop.eventLoop)
        loop.connect(to: next) { channel in
            try this.value.adopt(channel, attempt: number)
        }.assumeIsolated().whenFailure { _ in
            this.value.connectFailed(attempt: number)
        }
    }

    /// The backend's channel, before it connects.
    private func adopt(_ channel: any Channel, attempt number: Int) throws {
        let leg = Leg(.backend, of: self)
        guard number == attempt, case .connecting = phase else { throw AttemptGivenUp() }
        backend = leg
        try channel.pipeline.syncOperations.addHandler(leg)
    }

    private func connected() {
        guard case .connecting = phase, let backend else { return }
        enter(.login, for: loop.configuration.firstReplyTime)
        login = BackendLogin(access: access)
        backend.send(startup)
        backend.read()
    }

    private func connectFailed(attempt number: Int) {
        guard number == attempt, case .connecting = phase else { return }
        retry(.unreachable)
    }

    private func judge(_ buffer: ByteBuffer) {
        guard let verdict = login?.read(buffer.readableBytesView) else { return }
        act(on: verdict)
    }

    private func act(on verdict: BackendLogin.Verdict) {
        switch verdict {
        case .more:
            return
        case .pass(let bytes):
            client.send(bytes)
            reached()
        case .relay(let bytes):
            guard let backend else { return }
            client.send(bytes)
            reached()
            login = nil
            enter(.relaying, for: nil)
            loop.counters.relaying.increment()
            loop.counters.established.increment()
            backend.relay(to: client)
        case .retry(let reason):
            retry(reason)
        case .refuse(let reason):
            refuse(
                ErrorResponse(
                    .cannotConnectNow, "the connection to a member of the cluster ended: \(reason.rawValue)",
                    hint: "Connect again: the next attempt waits for the new primary."))
        }
    }

    /// The backend has answered, and the client has seen it: there is no way back, and what the client says now is
    /// the backend's.
    private func reached() {
        guard !startup.isEmpty, let door, let backend else { return }
        startup = []
        loop.room.attemptSucceeded(id, at: door, ticket: ticket)
        ticket = nil
        enter(.login, for: loop.configuration.loginTime)
        client.relay(to: backend)
    }

    private func retry(_ reason: BackendLogin.Unfit) {
        loop.counters.attemptsFailed.increment()
        loop.logger.debug(
            "attempt failed",
            metadata: [
                "address": "\(address)", "backend": "\(standing?.backend.description ?? "-")",
                "reason": "\(reason.rawValue)",
            ])
        if let member = standing?.backend.member { tried.insert(member) }
        abandonAttempt()
        tryNext()
    }

    private func abandonAttempt() {
        attempt += 1
        standing = nil
        login = nil
        backend?.close()
        backend = nil
    }

    // MARK: - Changes from outside

    /// The cluster's route changed, or time has passed for a session at a replica that is behind.
    func review(_ route: ClusterRoute?) {
        switch phase {
        case .held:
            if route?.app != door?.app { refuse(Self.nothingHere(address)) }
        case .connecting, .login, .relaying:
            let route = route?.app == door?.app ? route : nil
            guard var standing else { return }
            let verdict = standing.review(route, limits: loop.configuration.replicas, now: .present)
            self.standing = standing
            guard case .cut(let reason) = verdict else { return }
            cut(reason)
        case .opening, .cancelling, .farewell, .closed:
            return
        }
    }

    private func cut(_ reason: SessionStanding.Reason) {
        loop.logger.debug("session cut", metadata: ["address": "\(address)", "reason": "\(reason.rawValue)"])
        if case .relaying = phase {
            // Somewhere in the middle of a stream: an error put in here could land inside another message.
            loop.counters.cut.increment()
            return finish()
        }
        if let login { return act(on: login.ended(.deposed)) }
        retry(.deposed)
    }

    /// The deadline of the phase has passed.
    func timedOut() {
        switch phase {
        case .opening, .cancelling, .farewell:
            finish()
        case .held:
            guard let door else { return finish() }
            refuse(HoldQueue.Refusal.waitedTooLong.response(for: door.app, limits: loop.configuration.hold))
        case .login:
            if let login { act(on: login.ended(.timedOut)) }
        case .connecting, .relaying, .closed:
            return
        }
    }

    // MARK: - Ends

    func inputEnded(on side: Leg.Side) {
        switch (side, phase) {
        case (.client, .relaying), (.client, .login):
            // The client has said all; what it asked for may still be on its way.
            startup.isEmpty ? backend?.finishSending() : finish()
        case (.client, .opening), (.client, .held), (.client, .connecting), (.client, .cancelling):
            finish()
        case (.backend, .login):
            if let login { act(on: login.ended(.lost)) }
        case (.backend, .relaying):
            // A backend ends both directions at once; there is nobody left to read what the client says.
            backend?.close()
            backend = nil
            farewell()
        case (.backend, _), (.client, .farewell), (.client, .closed):
            return
        }
    }

    func ended(_ side: Leg.Side) {
        switch side {
        case .client: finish()
        case .backend: inputEnded(on: .backend)
        }
    }

    func failed(_ side: Leg.Side, _ error: any Error) {
        // A TLS client that leaves without saying so is no different from one in clear.
        if TLSContext.isUncleanEnd(error) { return }
        switch side {
        case .client: finish()
        case .backend: inputEnded(on: .backend)
        }
    }

    /// Ends the session with an error of the edge's own.
    func refuse(_ response: ErrorResponse) {
        loop.counters.refused.increment()
        client.send(response.bytes)
        farewell()
    }

    private func farewell() {
        leaveQueue()
        abandonAttempt()
        enter(.farewell, for: loop.configuration.farewellTime)
        client.whenSent { [weak self] in self?.finish() }
    }

    /// Closes both connections now.
    func finish() {
        if case .closed = phase { return }
        leaveQueue()
        abandonAttempt()
        canceller?.stop()
        canceller = nil
        enter(.closed, for: nil)
        client.close()
        loop.remove(self)
    }

    private func leaveQueue() {
        guard let ticket, let door else { return }
        self.ticket = nil
        loop.room.leave(door, ticket: ticket)
        loop.retryLater(door)
    }

    private static func nothingHere(_ address: IPv4Address) -> ErrorResponse {
        ErrorResponse(
            .cannotConnectNow, "no database cluster is served at \(address)",
            hint: "See 'roost ips list' for the addresses in use.")
    }
}

/// The attempt was given up before its channel was made.
private struct AttemptGivenUp: Error {}
