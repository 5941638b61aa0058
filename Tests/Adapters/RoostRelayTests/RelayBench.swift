import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire
import Testing

@testable import RoostRelay

/// Parties of a relay on the test's own thread. At their other ends are sockets of the test, which plays the others.
final class RelayBench {
    static let leader = "m1"
    static let follower = "m2"
    static let stream = "m2.e7"
    static let segmentBytes = 1 << 20

    let folder: String
    let desk: RelayDesk
    let listener: Link
    var parties: [any Party] = []
    private(set) var orders: RelayOrders

    /// - Parameter held: what the follower has of the segment that begins at 5 MiB; its file is there whatever this is.
    init(member: String, held: Int? = nil) throws {
        var template = Array("/tmp/roost-relay-XXXXXX\0".utf8CString.dropLast())
        folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        let address = IPv6Address(high: 0, low: 1)
        let file = try RelaySocket.listen(at: address, port: 0)
        listener = Link(file)
        var form = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        withUnsafeMutablePointer(to: &form) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(file, $0, &length) }
        }
        desk = RelayDesk(
            RelayPlace(
                socketFolder: folder, logFolder: folder, postgresFolder: folder, postgresPort: 5432,
                port: UInt16(bigEndian: form.sin6_port)))
        let (own, other) = (try MemberName(member), try MemberName(member == Self.leader ? Self.follower : Self.leader))
        let part = held.map {
            HeldLog(end: LSN(UInt64(5 << 20 + $0)), timeline: 2, segmentBytes: UInt64(Self.segmentBytes))
        }
        let upstream = RelayOrders.Upstream(
            leader: try MemberName(Self.leader), following: 1, stream: Self.stream, system: 77, timeline: 3, held: part)
        orders = RelayOrders(
            number: 1, member: own, address: address, password: "secret",
            peers: [.init(member: other, address: address)], upstream: member == Self.leader ? nil : upstream)
        desk.take(orders)
        try DurableFile.write(Self.log, to: "\(folder)/000000020000000000000005")
    }

    deinit {
        for name in ["000000020000000000000005", ".s.PGSQL.5432"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    /// A file of the log, no byte of which is where another would be.
    static let log = (0..<segmentBytes).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }

    func order(_ change: (inout RelayOrders) -> Void) {
        orders.number += 1
        change(&orders)
        desk.take(orders)
    }

    /// Turns the loop until something is so.
    func wait<Value>(_ others: [Link] = [], for what: () throws -> Value?) throws -> Value {
        let end = BootClock.now() + .seconds(10)
        while BootClock.now() < end {
            if let value = try what() { return value }
            turn(others, until: end)
        }
        return try #require(nil as Value?, "nothing came of it in 10 s")
    }

    func turn(_ others: [Link] = [], until end: Moment) {
        let wakeAt = (parties.compactMap(\.wakeAt) + [end]).min() ?? end
        Readiness.wait(for: [listener] + others + parties.flatMap(\.links), until: wakeAt)
        for party in parties { party.act(BootClock.now()) }
    }

    // MARK: - The other side

    /// What one end of a socket has said, to be read message by message.
    final class End {
        let link: Link
        var bytes: [UInt8] = []

        init(_ link: Link) { self.link = link }

        /// What has come and nobody has read.
        func read() -> [UInt8] {
            while case .bytes(let more) = link.read() { bytes += more }
            return bytes
        }

        func message() -> (type: Character, body: [UInt8])? {
            _ = read()
            guard bytes.count >= 5 else { return nil }
            let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
            guard bytes.count > length else { return nil }
            defer { bytes.removeFirst(length + 1) }
            return (Character(UnicodeScalar(bytes[0])), Array(bytes[5..<(length + 1)]))
        }
    }

    func pair() throws -> (Link, End) {
        let (one, other) = try UnixSocket.pair()
        return (Link(one), End(Link(other)))
    }

    func message(_ end: End) throws -> (type: Character, body: [UInt8]) { try wait([end.link]) { end.message() } }

    /// The follower's relay has a proven connection to this end, which plays the leader's.
    func warm() throws -> End {
        let party = try #require(desk.warm[try MemberName(Self.leader)])
        parties.append(party)
        let file = try wait { RelaySocket.accept(listener.file)?.file }
        let end = End(Link(file))
        let members = [try MemberName(Self.follower)]
        var handshake = CalledHandshake(at: try MemberName(Self.leader), challenge: desk.challenge())
        end.link.put(handshake.greeting)
        let answer = try wait([end.link]) { () -> [UInt8]? in
            guard case .bytes(let bytes) = end.link.read(),
                case .proven(_, let answer, _) = handshake.read(bytes, mayBe: members, desk.seal)
            else { return nil }
            return answer
        }
        end.link.put(answer)
        _ = try wait { desk.standing(BootClock.now()).isWarm ? true : nil }
        return end
    }

    /// The leader's relay has been called and shown a proof by this end, which plays a follower's.
    func called(by member: String = RelayBench.follower) throws -> (CalledParty, End) {
        let (link, end) = try pair()
        let (own, other) = (try MemberName(Self.leader), try MemberName(member))
        let party = CalledParty(link, desk, own: own, mayBe: [other], now: BootClock.now())
        parties.append(party)
        var handshake = CallingHandshake(from: other, to: own, challenge: desk.challenge())
        _ = try wait([end.link]) { () -> Bool? in
            guard case .bytes(let bytes) = end.link.read() else { return nil }
            switch handshake.read(bytes, desk.seal) {
            case .send(let answer):
                end.link.put(answer)
                return nil
            case .proven: return true
            default: return nil
            }
        }
        return (party, end)
    }

    static func start(_ position: Int, timeline: UInt32) -> StreamStart {
        StreamStart(slot: "m2_e7", position: LSN(UInt64(position)), timeline: timeline)
    }

    func ask(_ end: End, as stream: String = RelayBench.stream) throws {
        let query = Self.start(5 << 20, timeline: 3).query
        end.link.put(try #require(StreamRequest(stream: stream, system: 77, timeline: 3, query: query).bytes))
    }

    /// A receiver of Postgres that is let in by the follower's relay.
    func receiver() throws -> (ReceiverParty, End) {
        let (link, end) = try pair()
        let party = ReceiverParty(link, desk, now: BootClock.now())
        parties.append(party)
        var words: [UInt8] = [0, 3, 0, 0]
        for word in ["user", "roost_replicator", "replication", "true", "application_name", Self.stream, ""] {
            words += Array(word.utf8) + [0]
        }
        end.link.put([0, 0, 0, UInt8(words.count + 4)] + words)
        end.link.put(WireMessage("p", Array("secret".utf8) + [0]).bytes)
        while try message(end).type != "Z" {}
        return (party, end)
    }
}
