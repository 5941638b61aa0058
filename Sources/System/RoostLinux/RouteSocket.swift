import CLinux
import Glibc
public import RoostModel

/// Links, addresses and routes of one network namespace, as `ip` has them, without starting it (rtnetlink(7)).
/// It blocks and belongs to one thread, like the socket below it.
public final class RouteSocket {
    private let socket: NetlinkSocket

    /// Of the network namespace that the calling thread is in now.
    public init() throws(NetlinkError) { socket = try NetlinkSocket(.route) }

    /// Does all of these in their order. After a failure the others may have been done.
    public func perform(_ messages: [NetlinkMessage]) throws(NetlinkError) { try socket.perform(messages) }

    /// Does one.
    public func perform(_ message: NetlinkMessage) throws(NetlinkError) { try socket.perform([message]) }

    /// One network interface.
    public struct Link: Hashable, Sendable {
        /// Its number in its namespace.
        public var index: Int32
        /// At most 15 bytes.
        public var name: String
        /// The number of a pair's other end, in the other end's namespace.
        public var peer: Int32?
        /// Nftables and others tell links apart by it.
        public var group: UInt32
        /// Somebody wants it up.
        var isUp: Bool
    }

    /// One route.
    public struct Route: Hashable, Sendable {
        /// Where it leads to; with ``length`` 0 everywhere.
        public var destination: IPv6Address
        /// Of the destination's bits.
        public var length: UInt8
        /// Over which link.
        public var index: Int32
    }

    /// The link of that name, or nil.
    public func link(_ name: String) throws(NetlinkError) -> Link? {
        var attributes = NetlinkAttributes()
        attributes.add(Int(IFLA_IFNAME), name)
        let message = NetlinkMessage(
            "look at link \(name)", type: UInt16(RTM_GETLINK), fixed: RouteMessage.link(), attributes: attributes)
        do {
            return try socket.perform(message).compactMap(Self.link).first
        } catch {
            if error.code == ENODEV { return nil }
            throw error
        }
    }

    /// All links.
    public func links() throws(NetlinkError) -> [Link] {
        let message = NetlinkMessage(
            "list links", type: UInt16(RTM_GETLINK), flags: NLM_F_DUMP, fixed: RouteMessage.link())
        return try socket.perform(message).compactMap(Self.link)
    }

    /// The IPv6 routes of one kind; over one link only if it is given.
    public func routes(_ kind: RouteMessage.Kind, over index: Int32? = nil) throws(NetlinkError) -> [Route] {
        var attributes = NetlinkAttributes()
        attributes.add(Int(RTA_TABLE.rawValue), kind.table)
        if let index { attributes.add(Int(RTA_OIF.rawValue), UInt32(bitPattern: index)) }
        let message = NetlinkMessage(
            "list routes", type: UInt16(RTM_GETROUTE), flags: NLM_F_DUMP,
            fixed: RouteMessage.route(family: AF_INET6, length: 0, kind: nil), attributes: attributes)
        return try socket.perform(message).compactMap { Self.route($0, kind) }
    }

    private static func link(_ reply: NetlinkReply) -> Link? {
        guard reply.type == UInt16(RTM_NEWLINK), reply.payload.count >= RouteMessage.linkSize else { return nil }
        let fixed = reply.payload[...]
        let attributes = reply.attributes(after: RouteMessage.linkSize)
        guard let name = attributes[Int(IFLA_IFNAME)]?.text else { return nil }
        return Link(
            index: Int32(bitPattern: fixed.host32(at: 4)), name: name,
            peer: attributes[Int(IFLA_LINK)].map { Int32(bitPattern: $0.host32(at: 0)) },
            group: attributes[Int(IFLA_GROUP)]?.host32(at: 0) ?? 0, isUp: fixed.host32(at: 8) & RouteMessage.up != 0)
    }

    private static func route(_ reply: NetlinkReply, _ kind: RouteMessage.Kind) -> Route? {
        guard reply.type == UInt16(RTM_NEWROUTE), reply.payload.count >= RouteMessage.routeSize,
            reply.payload[0] == UInt8(AF_INET6), reply.payload[7] == kind.type
        else { return nil }
        let attributes = reply.attributes(after: RouteMessage.routeSize)
        guard let index = attributes[Int(RTA_OIF.rawValue)] else { return nil }
        let destination = attributes[Int(RTA_DST.rawValue)].map { IPv6Address(networkBytes: $0) }
        return Route(
            destination: destination ?? IPv6Address(high: 0, low: 0), length: reply.payload[1],
            index: Int32(bitPattern: index.host32(at: 0)))
    }
}

extension IPv6Address {
    /// As it stands in a packet.
    var networkBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(network: high)
        bytes.append(network: low)
        return bytes
    }

    init(networkBytes bytes: ArraySlice<UInt8>) {
        self.init(high: UInt64(bigEndian: bytes.number(at: 0)), low: UInt64(bigEndian: bytes.number(at: 8)))
    }
}
