import Logging
import NIOCore
import RoostModel
import RoostPostgresWire
import RoostRouting

/// One client connection, with its sockets: tells the core what happens, and does what it says. Lives on one event
/// loop.
final class Session {
    let id: SessionID
    let loop: EdgeLoop
    /// Where the client is.
    let peer: SocketAddress?
    let source: SourcePrefix
    private let clientChannel: any Channel

    private var core: SessionCore
    private var place: Admission.Place
    /// A check by the edge itself, and no client.
    let isOwn: Bool
    /// Told as soon as the client can be told anything.
    private let refusal: Admission.Refusal?
    private(set) lazy var client = Leg(.client, of: self)
    private var backend: Leg?
    private var canceller: CancelForwarder?
    /// Events that came while another was being handled.
    private var pending: [SessionCore.Event] = []
    private var isHandling = false

    init(
        _ core: SessionCore, loop: EdgeLoop, client: any Channel, place: Admission.Place, refusal: Admission.Refusal?
    ) {
        self.core = core
        self.loop = loop
        id = core.id
        clientChannel = client
        peer = client.remoteAddress
        source = place.source
        self.place = place
        isOwn = place.isOwn
        self.refusal = refusal
    }

    var access: Access { core.access }
    var address: IPv4Address { core.address }
    var deadline: Moment? { core.deadline }

    // MARK: - What happens

    func began(_ side: Leg.Side) {
        switch side {
        case .client:
            if let refusal { receive(.turnedAway(refusal)) } else { client.read() }
        case .backend(let attempt):
            receive(.backendConnected(attempt: attempt))
        }
    }

    func receive(_ event: SessionCore.Event) {
        pending.append(event)
        guard !isHandling else { return }
        isHandling = true
        while !pending.isEmpty {
            let wasRelaying = core.isRelaying
            for action in core.receive(pending.removeFirst(), now: .present) { perform(action) }
            if wasRelaying, !core.isRelaying { loop.counters.relaying.decrement() }
            if !wasRelaying, core.isRelaying { loop.counters.relaying.increment() }
        }
        isHandling = false
        loop.settle(self)
        readOn()
    }

    func readOn() {
        if core.readsClient { client.read() }
        if core.readsBackend { backend?.read() }
    }

    // MARK: - What is to be done

    private func perform(_ action: SessionCore.Action) {
        switch action {
        case .send(let bytes): client.send(bytes)
        case .beginTLS(let identity, let early): beginTLS(identity, early: early)
        case .farewell(let bytes): sayFarewell(bytes)
        case .close: close()
        case .join(let app): join(app)
        case .enqueue(let door, let isOpen):
            answer(.decided(loop.shared.arrive(id, from: source, at: door, isOpen: isOpen, now: .present)))
        case .enqueueAgain(let door, let ticket):
            answer(
                .decided(loop.shared.attemptFailed(id, from: source, at: door, ticket: ticket, now: .present)))
        case .leaveQueue(let door, let ticket): loop.shared.leave(door, ticket: ticket)
        case .retryLater(let door): loop.retryLater(door)
        case .reached(let door, let ticket): loop.shared.attemptSucceeded(id, at: door, ticket: ticket)
        case .askPlace(let app): askPlace(app)
        case .leavePlaces(let app): loop.shared.leavePlaces(id, at: app, from: source)
        case .returnPlace(let app): loop.shared.returnPlace(at: app, from: source)
        case .pick(let candidates):
            if let backend = loop.shared.pick(candidates, now: .present) { answer(.picked(backend)) }
        case .cancel(let request, let app, let targets): forward(request, at: app, targets: targets)
        case .connect(let backend, let attempt): connect(backend, attempt: attempt)
        case .sendBackend(let bytes): backend?.send(bytes)
        case .closeBackend: closeBackend()
        case .finishBackend: backend?.finishSending()
        case .relayClient: if let backend { client.relay(to: backend) }
        case .relayBackend: backend?.relay(to: client)
        case .note(let note): loop.note(note, of: self, through: backend)
        }
    }

    /// What the core asked is answered before anything else that has happened is told.
    private func answer(_ event: SessionCore.Event) { pending.insert(event, at: 0) }

    private func beginTLS(_ identity: TLSIdentity, early: [UInt8]) {
        do {
            guard let context = loop.tlsContext(identity) else { throw ChannelError.inappropriateOperationForState }
            try context.install(on: clientChannel, early: early)
        } catch {
            loop.logger.warning("could not begin TLS", metadata: ["address": "\(address)", "error": "\(error)"])
            pending.append(.clientGone)
        }
    }

    private func join(_ app: AppName) {
        do throws(Admission.Refusal) {
            try loop.shared.join(app, &place)
            answer(.joined)
        } catch {
            answer(.turnedAway(error))
        }
    }

    private func askPlace(_ app: AppName) {
        switch loop.shared.askPlace(id, at: app, from: source) {
        case .given: answer(.placed)
        case .wait: answer(.placeDue)
        case .crowded: answer(.placesCrowded(ofSource: false))
        case .sourceCrowded: answer(.placesCrowded(ofSource: true))
        }
    }

    private func forward(_ request: CancelRequest, at app: AppName, targets: [Backend]) {
        guard loop.shared.mayCancel(from: source, to: app, now: .present) else {
            loop.counters.cancelsRefused.increment()
            return answer(.cancelHandled)
        }
        loop.counters.cancels.increment()
        let canceller = CancelForwarder(request.bytes, to: targets, on: loop)
        self.canceller = canceller
        canceller.start { [weak self] in self?.receive(.cancelHandled) }
    }

    private func connect(_ target: Backend, attempt: Int) {
        let leg = Leg(.backend(attempt: attempt), of: self)
        backend = leg
        let this = NIOLoopBound((self, leg), eventLoop: loop.eventLoop)
        loop.connect(to: target) { channel in
            let (session, leg) = this.value
            // The attempt may have been given up before its channel was made.
            guard session.backend === leg else { throw ChannelError.ioOnClosedChannel }
            try channel.pipeline.syncOperations.addHandler(leg)
        }.assumeIsolated().whenFailure { error in
            this.value.0.receive(.backendFailed(attempt: attempt, SessionCore.ConnectFailure(error)))
        }
    }

    private func closeBackend() {
        client.stopRelaying()
        backend?.close()
        backend = nil
    }

    private func sayFarewell(_ bytes: [UInt8]) {
        if !bytes.isEmpty { client.send(bytes) }
        client.whenSent { [weak self] in
            guard let self else { return }
            client.finishSending()
            receive(.farewellSent)
        }
    }

    private func close() {
        canceller?.stop()
        canceller = nil
        client.close()
        loop.shared.leave(place)
        loop.remove(self, wasRefused: refusal != nil)
    }
}
