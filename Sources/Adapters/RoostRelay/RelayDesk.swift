import RoostCrypto
import RoostLinux
import RoostModel
import RoostRelayWire

/// Where a relay works.
public struct RelayPlace: Sendable {
    /// Of its socket for this member's receiver, `.s.PGSQL.` and the port, as libpq looks for it.
    public var socketFolder: String
    /// Of the log's files.
    public var logFolder: String
    /// Of the socket of this member's Postgres.
    public var postgresFolder: String
    public var postgresPort: UInt16
    /// Of the relays of all members.
    public var port: UInt16

    public init(
        socketFolder: String, logFolder: String, postgresFolder: String, postgresPort: UInt16,
        port: UInt16 = RelayOrders.portDefault
    ) {
        self.socketFolder = socketFolder
        self.logFolder = logFolder
        self.postgresFolder = postgresFolder
        self.postgresPort = postgresPort
        self.port = port
    }

    var socket: String { "\(socketFolder)/.s.PGSQL.\(port)" }
}

/// What the parties of a relay have in common. All of them act on one thread.
final class RelayDesk {
    private static let purpose = Array("roost relay 1".utf8)

    let place: RelayPlace
    private(set) var orders: RelayOrders?
    private var key: [UInt8] = []
    private(set) var warm: [MemberName: WarmParty] = [:]
    var trust = RelayTrust()
    /// What this reign's stream has brought, by its own account.
    private var grown: (stream: String, held: HeldLog)?

    init(_ place: RelayPlace) { self.place = place }

    func take(_ orders: RelayOrders) {
        let former = self.orders?.upstream
        if orders.upstream?.stream != former?.stream || orders.upstream?.following != former?.following {
            trust.forget()
            grown = nil
        }
        let isOther =
            orders.password != self.orders?.password || orders.address != self.orders?.address
            || orders.member != self.orders?.member
        if isOther {
            key = MessageCode.of(Self.purpose, key: Array(orders.password.utf8))
            warm = [:]
        }
        self.orders = orders
        var kept: [MemberName: WarmParty] = [:]
        for peer in orders.peers where peer.member != orders.member {
            let known = warm[peer.member]
            kept[peer.member] = known?.peer == peer ? known : WarmParty(peer, self)
        }
        warm = kept
    }

    func seal(_ message: [UInt8]) -> [UInt8] { MessageCode.of(message, key: key) }

    func challenge() -> [UInt8] { (0..<RelayHandshake.challengeBytes).map { _ in .random(in: 0...UInt8.max) } }

    func members(at address: IPv6Address) -> [MemberName] {
        orders?.peers.filter { $0.address == address }.map(\.member) ?? []
    }

    func standing(_ now: Moment) -> ReceiverSession.Standing {
        var upstream = orders?.upstream
        if let grown, grown.stream == upstream?.stream { upstream?.held = grown.held }
        let isWarm = upstream.map { warm[$0.leader]?.isWarm(now) ?? false } ?? false
        return ReceiverSession.Standing(
            upstream: upstream, password: orders?.password ?? "", isWarm: isWarm && trust.isGiven(now))
    }

    /// Whether it is what the member follows now, and not what it followed before, under the same name or another.
    func isFollowed(_ upstream: RelayOrders.Upstream) -> Bool {
        guard let now = orders?.upstream else { return false }
        return (now.stream, now.following) == (upstream.stream, upstream.following)
    }

    func note(_ held: HeldLog, of upstream: RelayOrders.Upstream) {
        if isFollowed(upstream) { grown = (upstream.stream, held) }
    }
}
