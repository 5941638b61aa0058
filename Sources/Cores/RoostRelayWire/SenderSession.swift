public import RoostModel

/// The far side: from a proven member's request to a stream of the Postgres beside it. It waits for a Postgres that is about
/// to lead: that lets the replicator in, is on the timeline that the receiver was told of, and has the stream's slot.
public struct SenderSession: Sendable {
    public enum Event: Sendable {
        /// Postgres has let the replicator in, and says nothing more until it is asked.
        case loggedIn
        case loginFailed(Refusal, String)
        /// From Postgres.
        case read([UInt8])
        /// The moment of ``wakeAt`` has come.
        case tick
    }

    /// Why the replicator was not let in.
    public enum Refusal: Hashable, Sendable {
        /// Nobody listens at Postgres's socket.
        case absent
        /// By Postgres, with its SQLSTATE.
        case said(String)
        case other

        /// Postgres is about to run, or about to lead: it starts (cannot_connect_now), or its `pg_hba.conf` lets no replicator in
        /// yet (invalid_authorization_specification). A password that is wrong (28P01) or places that are all taken (53300) do
        /// not get better by being tried again, and who tries takes such a place each time.
        var isPassing: Bool {
            switch self {
            case .absent: true
            case .said(let code): code == "57P03" || code == "28000"
            case .other: false
            }
        }

        var code: String {
            switch self {
            case .said(let code): code
            case .absent, .other: "08006"
            }
        }
    }

    public enum Action: Hashable, Sendable {
        /// Log in to Postgres, as this stream.
        case login(String)
        case toPostgres([UInt8])
        case toPeer([UInt8])
        /// From here on both sides' bytes pass as they are.
        case pass
        /// Once all is sent.
        case end
    }

    /// From the request on. The receiver's side has no other bound on this wait; a promotion takes some tenths of a second.
    public static let patience = Duration.seconds(3)
    static let retryPause = Duration.milliseconds(20)
    private static let answerBytesMax = 64 << 10
    /// Postgres's for the slot of the stream: not made yet (undefined_object), or in the hands of a stream before this
    /// one (object_in_use).
    private static let passing: Set<String> = ["42704", "55006"]

    private enum Phase {
        /// Becomes `identifying`, `pausing` or `over`.
        case loggingIn
        /// What the receiver was told is asked of Postgres itself. Becomes `starting`, `pausing` or `over`.
        case identifying(IdentityAnswer?)
        /// The receiver's request is out; an error of it that may pass is kept until Postgres takes another. Becomes
        /// `passing`, `pausing` or `over`.
        case starting(WireMessage?)
        /// Until ``wakeAt``. Becomes `loggingIn` or `identifying`.
        case pausing(isLoggedIn: Bool)
        case passing
        case over
    }

    private let request: StreamRequest
    private let until: Moment
    private var phase = Phase.loggingIn
    private var reader = MessageReader(bytesMax: answerBytesMax)
    /// When it wants to be told that time has passed.
    public private(set) var wakeAt: Moment?

    public init(_ request: StreamRequest, now: Moment) {
        self.request = request
        until = now + Self.patience
        wakeAt = until
    }

    /// To be done first.
    public var beginning: [Action] { [.login(request.stream)] }

    public mutating func receive(_ event: Event, now: Moment) -> [Action] {
        switch event {
        case .loggedIn:
            guard case .loggingIn = phase else { return [] }
            return identify()
        case .loginFailed(let refusal, let why):
            guard case .loggingIn = phase else { return [] }
            let words = WireMessage.error(refusal.code, why)
            return refusal.isPassing ? pause(isLoggedIn: false, or: words, now) : give(words)
        case .read(let bytes): return read(bytes, now)
        case .tick: return tick(now)
        }
    }

    private mutating func tick(_ now: Moment) -> [Action] {
        guard let wakeAt, now >= wakeAt else { return [] }
        switch phase {
        case .pausing(let isLoggedIn):
            self.wakeAt = until
            guard !isLoggedIn else { return identify() }
            phase = .loggingIn
            return beginning
        case .loggingIn, .identifying, .starting:
            return give(WireMessage.error("57P03", "the leader's Postgres does not answer its relay"))
        case .passing, .over:
            self.wakeAt = nil
            return []
        }
    }

    private mutating func identify() -> [Action] {
        phase = .identifying(nil)
        return [.toPostgres(WireMessage.query("IDENTIFY_SYSTEM").bytes)]
    }

    private mutating func read(_ bytes: [UInt8], _ now: Moment) -> [Action] {
        if case .passing = phase { return [.toPeer(bytes)] }
        reader.append(bytes)
        var actions: [Action] = []
        do throws(WireError) {
            while isReading, let message = try reader.next() { actions += take(message, now) }
        } catch {
            return actions + give(WireMessage.error("08P01", "the leader's Postgres does not speak its protocol"))
        }
        return actions
    }

    private var isReading: Bool {
        switch phase {
        case .identifying, .starting: true
        case .loggingIn, .pausing, .passing, .over: false
        }
    }

    private mutating func take(_ message: WireMessage, _ now: Moment) -> [Action] {
        // Notices, and settings that changed meanwhile.
        if ["N", "S"].contains(Character(UnicodeScalar(message.type))) { return [] }
        switch phase {
        case .identifying(let found):
            switch Character(UnicodeScalar(message.type)) {
            case "D": phase = .identifying(IdentityAnswer(row: message.body))
            case "E": return give(message)
            case "Z": return judge(found, now)
            default: break
            }
            return []
        case .starting(let refusal):
            if message.type == UInt8(ascii: "Z"), let refusal { return pause(isLoggedIn: true, or: refusal, now) }
            if let code = message.code, Self.passing.contains(code) {
                phase = .starting(message)
                return []
            }
            phase = .passing
            wakeAt = nil
            return [.pass, .toPeer(message.bytes + reader.takeRest())]
        case .loggingIn, .pausing, .passing, .over: return []
        }
    }

    /// Whether this is the leader that the receiver was told of.
    private mutating func judge(_ found: IdentityAnswer?, _ now: Moment) -> [Action] {
        guard let found else {
            return give(WireMessage.error("08P01", "the leader's Postgres does not say what it is"))
        }
        guard found.system == request.system else {
            return give(
                WireMessage.error(
                    "55000", "the leader has the data of database system \(found.system), not \(request.system)"))
        }
        guard found.timeline == request.timeline else {
            let words = "the leader is on timeline \(found.timeline), not \(request.timeline)"
            // One that is not promoted yet.
            return found.timeline < request.timeline
                ? pause(isLoggedIn: true, or: WireMessage.error("55000", words), now)
                : give(WireMessage.error("55000", words))
        }
        phase = .starting(nil)
        return [.toPostgres(WireMessage.query(request.query).bytes)]
    }

    private mutating func pause(isLoggedIn: Bool, or refusal: WireMessage, _ now: Moment) -> [Action] {
        guard now + Self.retryPause < until else { return give(refusal) }
        phase = .pausing(isLoggedIn: isLoggedIn)
        wakeAt = now + Self.retryPause
        return []
    }

    private mutating func give(_ refusal: WireMessage) -> [Action] {
        phase = .over
        wakeAt = nil
        return [.toPeer(refusal.bytes), .end]
    }
}
