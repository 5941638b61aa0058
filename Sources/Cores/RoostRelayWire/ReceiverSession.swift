import RoostModel

/// What a receiver of Postgres at the near side's socket is answered, up to its first real request.
///
/// Login and `IDENTIFY_SYSTEM` are answered here, without a way to the leader: the far side sees that what was said is so
/// before it lets anything through. Whoever cannot be served is told so with SQLSTATE 57P03, on which libpq goes on to its
/// next host, the leader itself, within the same attempt: as long as it is not let in. Later the attempt is lost, and the
/// next one is sent on.
public struct ReceiverSession: Sendable {
    /// What the session goes by at this moment.
    public struct Standing: Sendable {
        /// Nil: this member follows nobody.
        public var upstream: RelayOrders.Upstream?
        public var password: String
        /// A connection to the leader's relay stands.
        public var isWarm: Bool

        public init(upstream: RelayOrders.Upstream?, password: String, isWarm: Bool) {
            self.upstream = upstream
            self.password = password
            self.isWarm = isWarm
        }
    }

    public enum Action: Hashable, Sendable {
        case send([UInt8])
        /// From here on the session is the leader's: this request goes to it, then `rest` and all that comes. What is held
        /// may stand for the beginning: then the request is ``StreamRequest/skipping(_:)``.
        case open(StreamRequest, part: HeldPart?, rest: [UInt8])
        /// Once all is sent.
        case end
    }

    private enum Phase {
        /// It has not said who it is. Becomes `password` or `over`.
        case startup
        /// It has been asked for the password. Becomes `commands` or `over`.
        case password(RelayOrders.Upstream)
        /// It is let in, for this stream. Becomes `over` with its first real request.
        case commands(RelayOrders.Upstream)
        case over
    }

    /// Postgres's own bound on a startup packet (MAX_STARTUP_PACKET_LENGTH).
    static let startupBytesMax = 10_000
    private static let messageBytesMax = 8192
    /// Requests for encryption: one for TLS, one for GSSAPI.
    private static let refusalsMax = 2

    private var phase = Phase.startup
    private var startup: [UInt8] = []
    private var refusals = 0
    private var reader = MessageReader(bytesMax: messageBytesMax)

    public init() {}

    public mutating func read(_ bytes: some Sequence<UInt8>, _ standing: Standing) -> [Action] {
        var actions: [Action] = []
        if case .startup = phase {
            startup += bytes
            actions += begin(standing)
        } else {
            reader.append(bytes)
        }
        do throws(WireError) {
            while isReading, let message = try reader.next() { actions += take(message, standing) }
        } catch {
            return actions + refuse("08P01", "this is not the protocol of a receiver")
        }
        return actions
    }

    private var isReading: Bool {
        switch phase {
        case .startup, .over: false
        case .password, .commands: true
        }
    }

    private mutating func begin(_ standing: Standing) -> [Action] {
        var actions: [Action] = []
        while case .startup = phase, startup.count >= 8 {
            let length = Int(startup.number(as: UInt32.self))
            guard (8...Self.startupBytesMax).contains(length) else {
                return actions + refuse("08P01", "invalid length of startup packet")
            }
            guard startup.count >= length else { break }
            let packet = startup[..<length]
            startup.removeFirst(length)
            switch packet.dropFirst(4).number(as: UInt32.self) {
            case Self.encryptions:
                refusals += 1
                guard length == 8, refusals <= Self.refusalsMax else {
                    return actions + refuse("08P01", "encryption was requested twice")
                }
                actions.append(.send([UInt8(ascii: "N")]))
            case Self.versions: actions += greet(packet.dropFirst(8), standing)
            default: return actions + refuse("0A000", "this socket is for a receiver of the log")
            }
        }
        // Nothing may be said before the answer; a receiver that does is read on all the same.
        if isReading {
            reader.append(startup)
            startup = []
        }
        return actions
    }

    private static let versions: Range<UInt32> = 3 << 16..<4 << 16
    private static let encryptions: ClosedRange<UInt32> = 80_877_103...80_877_104

    private mutating func greet(_ body: ArraySlice<UInt8>, _ standing: Standing) -> [Action] {
        let texts = body.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        var said: [String: String] = [:]
        for place in stride(from: 0, to: texts.count - 1, by: 2) where !texts[place].isEmpty {
            said[texts[place]] = texts[place + 1]
        }
        guard let upstream = standing.upstream, standing.isWarm, said["user"] == PostgresNames.replicator,
            said["replication"] == "true", said["application_name"] == upstream.stream
        else { return refuse(Self.elsewhere, "the relay does not lead to the leader of this stream now") }
        phase = .password(upstream)
        // In clear, over the member's own socket: no way to the leader, and who has no password is not let in.
        return [.send(Self.authentication(3))]
    }

    private mutating func take(_ message: WireMessage, _ standing: Standing) -> [Action] {
        switch phase {
        case .password(let upstream):
            guard message.type == UInt8(ascii: "p"), isLeader(upstream, standing),
                RelayHandshake.areSame(message.body, Array(standing.password.utf8) + [0])
            else { return refuse(Self.elsewhere, "the relay does not know this password") }
            phase = .commands(upstream)
            return [.send(Self.welcome)]
        case .commands(let upstream):
            guard message.type == UInt8(ascii: "Q"), let query = message.queryText else {
                phase = .over
                return [.end]
            }
            guard isLeader(upstream, standing) else { return refuse(Self.elsewhere, "the relay leads elsewhere now") }
            return query == "IDENTIFY_SYSTEM" ? [.send(Self.identity(of: upstream))] : carry(query, standing)
        case .startup, .over: return []
        }
    }

    /// What is held may have grown since.
    private func isLeader(_ upstream: RelayOrders.Upstream, _ standing: Standing) -> Bool {
        guard let now = standing.upstream else { return false }
        return (now.leader, now.following, now.stream, now.system, now.timeline)
            == (upstream.leader, upstream.following, upstream.stream, upstream.system, upstream.timeline)
    }

    private mutating func carry(_ query: String, _ standing: Standing) -> [Action] {
        guard let upstream = standing.upstream else { return [] }
        let part = StreamStart(query).flatMap { upstream.held?.part(of: $0, leads: upstream.timeline) }
        let request = StreamRequest(
            stream: upstream.stream, system: upstream.system, timeline: upstream.timeline, query: query)
        phase = .over
        return [.open(request, part: part, rest: reader.takeRest())]
    }

    private mutating func refuse(_ code: String, _ message: String) -> [Action] {
        phase = .over
        return [.send(WireMessage.error(code, message).bytes), .end]
    }

    // MARK: - What it is told

    /// `cannot_connect_now`: before AuthenticationOk libpq goes on to the next host (fe-connect.c).
    public static let elsewhere = "57P03"

    private static func authentication(_ kind: UInt32) -> [UInt8] {
        var body: [UInt8] = []
        body.append(number: kind)
        return WireMessage("R", body).bytes
    }

    private static var welcome: [UInt8] {
        let parameters = [("server_version", "17"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")]
        return parameters.reduce(authentication(0)) { bytes, parameter in
            var body: [UInt8] = []
            body.append(text: parameter.0)
            body.append(text: parameter.1)
            return bytes + WireMessage("S", body).bytes
        } + WireMessage.readyForQuery.bytes
    }

    private static func identity(of upstream: RelayOrders.Upstream) -> [UInt8] {
        IdentityAnswer(system: upstream.system, timeline: upstream.timeline).bytes
    }
}

/// The answer to `IDENTIFY_SYSTEM` (PostgreSQL manual, 53.4): one row of four columns.
struct IdentityAnswer: Hashable, Sendable {
    var system: UInt64
    var timeline: UInt32

    init(system: UInt64, timeline: UInt32) {
        self.system = system
        self.timeline = timeline
    }

    /// Of a row as Postgres sends it.
    init?(row body: [UInt8]) {
        guard body.count >= 2, body.number(as: UInt16.self) >= 2 else { return nil }
        var place = 2
        var texts: [String] = []
        while texts.count < 2 {
            guard body.count >= place + 4 else { return nil }
            let count = Int(body[place...].number(as: UInt32.self))
            guard count <= 64, body.count >= place + 4 + count else { return nil }
            texts.append(String(decoding: body[(place + 4)..<(place + 4 + count)], as: UTF8.self))
            place += 4 + count
        }
        guard let system = UInt64(texts[0]), let timeline = UInt32(texts[1]) else { return nil }
        self.init(system: system, timeline: timeline)
    }

    private static let text: UInt32 = 25
    private static let int8: UInt32 = 20

    var bytes: [UInt8] {
        var description: [UInt8] = []
        let columns: [(name: String, type: UInt32)] = [
            ("systemid", Self.text), ("timeline", Self.int8), ("xlogpos", Self.text), ("dbname", Self.text),
        ]
        description.append(number: UInt16(columns.count))
        for column in columns {
            description.append(text: column.name)
            // No table, no column of one; its type, of any length, with no modifier, as text.
            description.append(number: UInt32(0))
            description.append(number: UInt16(0))
            description.append(number: column.type)
            description.append(number: Int16(-1))
            description.append(number: Int32(-1))
            description.append(number: UInt16(0))
        }
        var row: [UInt8] = []
        row.append(number: UInt16(columns.count))
        // No receiver looks where the leader's log ends; that is not known here.
        for value in ["\(system)", "\(timeline)", "0/0"] {
            row.append(number: UInt32(value.utf8.count))
            row += value.utf8
        }
        row.append(number: Int32(-1))
        var tag: [UInt8] = []
        tag.append(text: "IDENTIFY_SYSTEM")
        return WireMessage("T", description).bytes + WireMessage("D", row).bytes + WireMessage("C", tag).bytes
            + WireMessage.readyForQuery.bytes
    }
}
