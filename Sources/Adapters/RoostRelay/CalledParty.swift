import RoostLinux
import RoostModel
import RoostRelayWire

/// The far side: who has called, and the stream of this member's Postgres that it asked for.
final class CalledParty: Party {
    /// To prove.
    static let provingMax = Duration.seconds(3)
    /// What comes from the other side before the stream is on: a receiver says little before it is answered.
    private static let earlyBytesMax = 64 << 10

    private enum Stage {
        case proving(CalledHandshake)
        case idle(StreamRequestReader)
        case opening(SenderSession)
        case passing(Link)
        case ending
    }

    private unowned let desk: RelayDesk
    private let link: Link
    /// The members that have the address it comes from.
    let mayBe: [MemberName]
    private var stage: Stage
    private var login: LocalLogin?
    /// Postgres's side, once it has let the stream in.
    private var postgres: Link?
    private var early: [UInt8] = []
    /// Who has proven to be at the other end.
    private(set) var member: MemberName?
    /// When it asked for its stream.
    private var askedAt: Moment?
    private(set) var wakeAt: Moment?

    /// - Parameter mayBe: the members that have the address it comes from.
    init(_ link: Link, _ desk: RelayDesk, own: MemberName, mayBe: [MemberName], now: Moment) {
        self.link = link
        self.desk = desk
        self.mayBe = mayBe
        let handshake = CalledHandshake(at: own, challenge: desk.challenge())
        stage = .proving(handshake)
        wakeAt = now + Self.provingMax
        link.put(handshake.greeting)
    }

    var links: [Link] { [link, login?.link].compactMap { $0 }.filter { !$0.isClosed } }
    var isOver: Bool { link.isClosed }
    var isIdle: Bool { if case .idle = stage { true } else { false } }
    var isProving: Bool { if case .proving = stage { true } else { false } }
    var isStream: Bool {
        switch stage {
        case .opening, .passing, .ending: true
        case .proving, .idle: false
        }
    }

    func close() {
        stage = .ending
        link.close()
        letGo()
    }

    private func letGo() {
        login?.close()
        (login, postgres) = (nil, nil)
    }

    /// Those that a later request of the same member has taken the place of, and the oldest of too many.
    static func superseded(_ all: [CalledParty], streamsMax: Int) -> [CalledParty] {
        let streams = all.filter { $0.isStream && !$0.isOver }.sorted { $0.askedAt ?? .zero < $1.askedAt ?? .zero }
        let last = streams.reduce(into: [:]) { last, party in last[party.member] = ObjectIdentifier(party) }
        let former = streams.filter { last[$0.member] != ObjectIdentifier($0) }
        let left = streams.filter { last[$0.member] == ObjectIdentifier($0) }
        return former + left.dropLast(streamsMax)
    }

    func act(_ now: Moment) {
        link.flush()
        switch stage {
        case .proving(let handshake): prove(handshake, now)
        case .idle(let reader): listen(reader, now)
        case .opening(let session): open(session, now)
        case .passing(let postgres):
            let isOn =
                Passage.pass(from: link, to: postgres) && Passage.pass(from: postgres, to: link)
            if !isOn { end(now) }
        case .ending: if let wakeAt, now >= wakeAt { close() }
        }
    }

    private func prove(_ handshake: CalledHandshake, _ now: Moment) {
        if let wakeAt, now >= wakeAt { return close() }
        guard link.isReadable else { return }
        var handshake = handshake
        switch link.read() {
        case .nothing: return
        case .ended: close()
        case .bytes(let bytes):
            switch handshake.read(bytes, mayBe: mayBe, desk.seal) {
            case .more: stage = .proving(handshake)
            case .send(let answer): link.put(answer)
            case .refused: close()
            case .proven(let member, let answer, _):
                link.put(answer)
                self.member = member
                wakeAt = nil
                stage = .idle(StreamRequestReader(from: member))
            }
        }
    }

    private func listen(_ reader: StreamRequestReader, _ now: Moment) {
        // Who does not take the answers is not read.
        link.isReading = link.takesMore
        guard link.isReadable, link.takesMore else { return }
        var reader = reader
        switch link.read() {
        case .nothing: return
        case .ended: close()
        case .bytes(let bytes):
            let outcome = reader.read(bytes)
            link.put(reader.takeAnswers())
            switch outcome {
            case .more: stage = .idle(reader)
            case .refused: close()
            case .request(let request, let rest):
                early = rest
                askedAt = now
                link.isReading = true
                let session = SenderSession(request, now: now)
                stage = .opening(session)
                wakeAt = session.wakeAt
                carryOut(session.beginning, now)
            }
        }
    }

    private func open(_ session: SenderSession, _ now: Moment) {
        guard readEarly() else { return close() }
        var session = session
        var actions: [SenderSession.Action] = []
        if postgres == nil, let login {
            switch login.advance() {
            case .more: break
            case .loggedIn:
                postgres = login.link
                actions += session.receive(.loggedIn, now: now)
            case .failed(let refusal, let why):
                letGo()
                actions += session.receive(.loginFailed(refusal, why), now: now)
            }
        } else if let postgres, postgres.isReadable {
            switch postgres.read() {
            case .nothing: break
            case .bytes(let bytes): actions += session.receive(.read(bytes), now: now)
            case .ended:
                link.put(WireMessage.error("08006", "the leader's Postgres has ended the connection").bytes)
                return end(now)
            }
        }
        postgres?.flush()
        if let wakeAt = session.wakeAt, now >= wakeAt { actions += session.receive(.tick, now: now) }
        stage = .opening(session)
        wakeAt = session.wakeAt
        carryOut(actions, now)
    }

    /// - Returns: false: the other side has ended, or says too much.
    private func readEarly() -> Bool {
        guard link.isReadable else { return !link.isBroken }
        switch link.read() {
        case .nothing: return true
        case .ended: return false
        case .bytes(let bytes):
            early += bytes
            return early.count <= Self.earlyBytesMax
        }
    }

    private func carryOut(_ actions: [SenderSession.Action], _ now: Moment) {
        for action in actions {
            switch action {
            case .login(let stream):
                letGo()
                let begun = LocalLogin(stream, at: desk.place, password: desk.orders?.password ?? "")
                login = begun
                // Nothing would wake the loop for it.
                if begun.hasFailed, case .opening(let session) = stage { open(session, now) }
            case .toPostgres(let bytes): postgres?.put(bytes)
            case .toPeer(let bytes): link.put(bytes)
            case .pass:
                guard let postgres else { return end(now) }
                postgres.put(early)
                early = []
                stage = .passing(postgres)
                wakeAt = nil
            case .end: end(now)
            }
        }
    }

    private func end(_ now: Moment) {
        stage = .ending
        wakeAt = now + ReceiverParty.endingMax
        postgres?.flush()
        letGo()
        link.end()
    }
}
