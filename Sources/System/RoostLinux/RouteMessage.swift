import CLinux
import Glibc
public import RoostModel

/// The requests of rtnetlink(7) that Roost makes. Each can be repeated: what is so already stays.
public enum RouteMessage {
    /// Which of the namespace's routes.
    public enum Kind: Sendable {
        /// To elsewhere.
        case unicast
        /// To addresses of this host itself; the kernel keeps them.
        case local

        var table: UInt32 {
            switch self {
            case .unicast: UInt32(RT_TABLE_MAIN.rawValue)
            case .local: UInt32(RT_TABLE_LOCAL.rawValue)
            }
        }

        var type: UInt8 {
            switch self {
            case .unicast: UInt8(RTN_UNICAST)
            case .local: UInt8(RTN_LOCAL)
            }
        }
    }

    static let linkSize = 16
    static let routeSize = 12
    /// `IFF_UP` of netdevice(7).
    static let up: UInt32 = 1
    /// `IN6_ADDR_GEN_MODE_NONE` of linux/if_link.h: no address that nobody asked for.
    private static let noAddresses: UInt8 = 1
    /// `RTPROT_BOOT` of linux/rtnetlink.h, which is what `ip` says too.
    private static let protocolBoot: UInt8 = 3

    /// Makes a pair of links: one end here, the other in the namespace whose file is `namespace`. Both are down.
    public static func addPair(
        _ name: String, group: UInt32, mtu: Int, peer: String, namespace: Int32
    ) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        attributes.add(Int(IFLA_IFNAME), name)
        attributes.add(Int(IFLA_MTU), UInt32(mtu))
        attributes.add(Int(IFLA_GROUP), group)
        attributes.nest(Int(IFLA_LINKINFO)) { info in
            info.add(Int(IFLA_INFO_KIND), "veth")
            info.nest(Int(IFLA_INFO_DATA)) { data in
                data.nest(Int(VETH_INFO_PEER), after: link()) { end in
                    end.add(Int(IFLA_IFNAME), peer)
                    end.add(Int(IFLA_MTU), UInt32(mtu))
                    end.add(Int(IFLA_NET_NS_FD), UInt32(bitPattern: namespace))
                }
            }
        }
        return NetlinkMessage(
            "make link \(name)", type: UInt16(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL, fixed: link(),
            attributes: attributes)
    }

    /// Sets a link up.
    /// - Parameter makesAddresses: it gives itself a link-local address, as links do.
    public static func setUp(
        _ index: Int32, group: UInt32? = nil, mtu: Int? = nil, makesAddresses: Bool = true
    ) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        if let mtu { attributes.add(Int(IFLA_MTU), UInt32(mtu)) }
        if let group { attributes.add(Int(IFLA_GROUP), group) }
        if !makesAddresses {
            attributes.nest(Int(IFLA_AF_SPEC)) { families in
                families.nest(Int(AF_INET6)) { $0.add(Int(IFLA_INET6_ADDR_GEN_MODE), noAddresses) }
            }
        }
        return NetlinkMessage(
            "set link \(index) up", type: UInt16(RTM_NEWLINK), fixed: link(index: index, isUp: true),
            attributes: attributes)
    }

    /// Removes a link, and with it a pair's other end.
    public static func deleteLink(_ name: String) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        attributes.add(Int(IFLA_IFNAME), name)
        return NetlinkMessage(
            "remove link \(name)", type: UInt16(RTM_DELLINK), fixed: link(), attributes: attributes)
    }

    /// Gives a link an address, without asking the neighbours whether somebody else has it.
    public static func address(_ address: IPv6Address, length: UInt8, on index: Int32) -> NetlinkMessage {
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        var fixed: [UInt8] = [UInt8(AF_INET6), length, 0, 0]
        fixed.append(host: index)
        var attributes = NetlinkAttributes()
        attributes.add(Int(IFA_LOCAL), address.networkBytes)
        attributes.add(Int(IFA_ADDRESS), address.networkBytes)
        attributes.add(Int(IFA_FLAGS), UInt32(IFA_F_NODAD))
        return NetlinkMessage(
            "add address \(address)/\(length)", type: UInt16(RTM_NEWADDR), flags: NLM_F_CREATE | NLM_F_REPLACE,
            fixed: fixed, attributes: attributes)
    }

    /// A route to elsewhere over a link.
    /// - Parameters:
    ///   - router: whom to hand the packets to; nil: the destination is on the link itself.
    ///   - source: the address that this host's own packets leave with.
    ///   - firstBurst: packets that a new connection may send before the first is acknowledged (`initcwnd`).
    public static func route(
        to destination: IPv6Address, length: UInt8, over index: Int32, router: IPv6Address? = nil,
        source: IPv6Address? = nil, firstBurst: UInt32? = nil
    ) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        if length > 0 { attributes.add(Int(RTA_DST.rawValue), destination.networkBytes) }
        attributes.add(Int(RTA_OIF.rawValue), UInt32(bitPattern: index))
        if let router { attributes.add(Int(RTA_GATEWAY.rawValue), router.networkBytes) }
        if let source { attributes.add(Int(RTA_PREFSRC.rawValue), source.networkBytes) }
        if let firstBurst {
            attributes.nest(Int(RTA_METRICS.rawValue)) { $0.add(Int(RTAX_INITCWND), firstBurst) }
        }
        return NetlinkMessage(
            "add route to \(destination)/\(length)", type: UInt16(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_REPLACE,
            fixed: route(family: AF_INET6, length: length, kind: .unicast), attributes: attributes)
    }

    /// Takes an IPv6 route to elsewhere away.
    public static func deleteRoute(
        to destination: IPv6Address, length: UInt8, over index: Int32
    ) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        if length > 0 { attributes.add(Int(RTA_DST.rawValue), destination.networkBytes) }
        attributes.add(Int(RTA_OIF.rawValue), UInt32(bitPattern: index))
        return NetlinkMessage(
            "remove route to \(destination)/\(length)", type: UInt16(RTM_DELROUTE),
            fixed: route(family: AF_INET6, length: length, kind: .unicast), attributes: attributes)
    }

    /// Makes every address of an IPv4 prefix this host's own, without listing them, or no longer.
    public static func anyAddress(of prefix: IPv4Prefix, over loopback: Int32, isWanted: Bool) -> NetlinkMessage {
        var destination: [UInt8] = []
        destination.append(network: prefix.network.bits)
        var attributes = NetlinkAttributes()
        attributes.add(Int(RTA_DST.rawValue), destination)
        attributes.add(Int(RTA_OIF.rawValue), UInt32(bitPattern: loopback))
        let fixed = route(family: AF_INET, length: UInt8(prefix.length), kind: .local)
        return isWanted
            ? NetlinkMessage(
                "add local route to \(prefix)", type: UInt16(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_REPLACE,
                fixed: fixed, attributes: attributes)
            : NetlinkMessage(
                "remove local route to \(prefix)", type: UInt16(RTM_DELROUTE), fixed: fixed, attributes: attributes)
    }

    /// struct ifinfomsg: family, padding, type, index, flags, which flags are meant.
    static func link(index: Int32 = 0, isUp: Bool = false) -> [UInt8] {
        var fixed: [UInt8] = [0, 0, 0, 0]
        fixed.append(host: index)
        fixed.append(host: isUp ? up : 0)
        fixed.append(host: isUp ? up : 0)
        return fixed
    }

    /// struct rtmsg: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
    /// A kind of nil is a question, in which all but the family stays open.
    static func route(family: Int32, length: UInt8, kind: Kind?) -> [UInt8] {
        guard let kind else { return [UInt8(family)] + [UInt8](repeating: 0, count: routeSize - 1) }
        // A local IPv4 route has the scope of this host (RT_SCOPE_HOST); IPv6 knows one scope only.
        let isLocal = kind.type == UInt8(RTN_LOCAL) && family == AF_INET
        let scope = UInt8(isLocal ? RT_SCOPE_HOST.rawValue : RT_SCOPE_UNIVERSE.rawValue)
        return [UInt8(family), length, 0, 0, UInt8(kind.table), protocolBoot, scope, kind.type, 0, 0, 0, 0]
    }
}
