import RoostLinux
import RoostModel

/// The nftables table `inet roost`: who may talk to whom on this host. A pure text; ``RuleBook`` loads it.
///
/// It keeps no connections: what a machine may send to a host is recognised as an answer by its TCP flags and the port
/// it goes to, or its ICMPv6 type. So there is no table that strangers at a busy edge could fill, and nothing is lost
/// when the rules are loaded again. Machines' links are told from all others by their link group, which they have from
/// the moment they exist.
struct MeshRules: Sendable {
    let interface: String
    /// The addresses that an edge announces, if the host is one.
    var anycast: AnycastAddresses?

    static let tableName = "roost"
    static let table = "inet " + tableName
    /// (host's end of a machine's link, an address the machine has).
    static let linkSet = "links"
    /// (host's end of a machine's link, the addresses of the machine's network).
    static let networkSet = "networks"
    /// Service ports that hosts and edges must not reach now.
    static let closedSet = "closed"
    /// The link group of the hosts' ends of machines' links.
    static let linkGroup: UInt32 = 4280
    /// The host's end of every machine's link, the machine's router: fe80::1; the machine's end: fe80::2.
    static let routerAddress = IPv6Address(high: 0xfe80 << 48, low: 1)
    static let machineLinkLocal = IPv6Address(high: 0xfe80 << 48, low: 2)
    /// Ports that connections of a host begin at: the kernel's own default range from here up (ip(7),
    /// ip_local_port_range). A host's services listen below.
    static let firstClientPort = 32768
    /// Pings and other messages that strangers may send to all anycast addresses of an edge together.
    static let echoesPerSecond = 1000
    /// The host's end of a machine's link: 15 characters, the longest name Linux allows.
    static func linkName(of machine: MachineID) -> String { "m" + machine.text }

    /// The elements that the machines' links have in the sets.
    func elements(of links: [MachineLink]) -> [(set: String, elements: [RuleSetElement])] {
        [
            (
                Self.linkSet,
                links.flatMap { link in
                    [link.address, Self.machineLinkLocal].map {
                        RuleSetElement(link: Self.linkName(of: link.machine), address: $0)
                    }
                }
            ),
            (
                Self.networkSet,
                links.map { link in
                    let range = link.networkRange
                    return RuleSetElement(
                        link: Self.linkName(of: link.machine), from: range.lowerBound, to: range.upperBound)
                }
            ),
        ]
    }

    func closed(_ ports: Set<ClosedPort>) -> (set: String, elements: [RuleSetElement]) {
        (Self.closedSet, ports.map { RuleSetElement(address: $0.address, port: $0.port) })
    }

    /// The whole table in one transaction, in place of whatever there was. Counters begin anew.
    func whole(_ wanted: RuleBook.Wanted) -> String {
        let links = wanted.links.values.sorted { $0.machine < $1.machine }
        let addresses = links.flatMap { link in
            ["\(link.address)", "\(Self.machineLinkLocal)"].map {
                "\"\(Self.linkName(of: link.machine))\" . \($0)"
            }
        }
        let networks = links.map { "\"\(Self.linkName(of: $0.machine))\" . \($0.network.prefix)" }
        let closed = wanted.closed.map { "\($0.address) . \($0.port)" }.sorted()
        return """
            table \(Self.table)
            delete table \(Self.table)
            table \(Self.table) {
                set \(Self.linkSet) { type ifname . ipv6_addr; \(Self.elements(addresses)) }
                set \(Self.networkSet) { type ifname . ipv6_addr; flags interval; \(Self.elements(networks)) }
                set \(Self.closedSet) { type ipv6_addr . inet_service; \(Self.elements(closed)) }
                counter spoofed { }
                counter foreign { }
                counter unserved { }
            \(machineChains)
            \(anycastChain)
            \(inputChain)
            \(forwardChain(forwardsOnlyOurs: wanted.forwardsOnlyOurs))
                # From this host itself, which is an edge too.
                chain output {
                    type filter hook output priority filter; policy accept;
                    oifgroup \(Self.linkGroup) ip6 daddr . tcp dport @\(Self.closedSet) reject with tcp reset
                }
            }
            """ + "\n"
    }

    private static func elements(_ list: [String]) -> String {
        list.isEmpty ? "" : "elements = { \(list.joined(separator: ", ")) };"
    }

    private var machineChains: String {
        """
            # What a machine may send to a host, which may have asked for it: nothing that opens a connection, and
            # nothing to where a host's services listen.
            chain answers {
                tcp dport >= \(Self.firstClientPort) tcp flags & (syn | ack | rst) != syn accept
                icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, \
        parameter-problem } accept
                counter name foreign drop
            }
            # A machine speaks IPv6 only, and only for itself.
            chain sender {
                meta nfproto ipv4 counter name foreign drop
                iifname . ip6 saddr != @\(Self.linkSet) counter name spoofed drop
            }
        """
    }

    /// Every address of an anycast prefix is the host's own: without this chain, whatever listens on all addresses of
    /// the host would be served to the world at each of them.
    private var anycastChain: String {
        guard let anycast else { return "" }
        let ports = anycast.ports.sorted().map(String.init).joined(separator: ", ")
        return """
                chain anycast {
                    tcp dport { \(ports) } accept
                    icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    icmp type echo-request limit rate \(Self.echoesPerSecond)/second accept
                    counter name unserved drop
                }
            """
    }

    private var inputChain: String {
        let group = "\(Self.linkGroup)"
        let prefixes = (anycast?.prefixes ?? []).map { "\($0)" }.joined(separator: ", ")
        let toAnycast = anycast == nil ? "" : #"iifname != "lo" ip daddr { \#(prefixes) } goto anycast"#
        return """
                # To this host. Its own services are for hosts, over the mesh.
                chain input {
                    type filter hook input priority filter; policy accept;
                    \(toAnycast)
                    iifgroup \(group) ip6 saddr :: icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 accept
                    iifgroup \(group) jump sender
                    iifgroup \(group) icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
                    iifgroup \(group) goto answers
                    iifname "\(interface)" meta nfproto ipv4 counter name foreign drop
                    iifname "\(interface)" ip6 daddr != \(MeshAddress.everything) counter name foreign drop
                    iifname "\(interface)" ip6 saddr \(MeshAddress.hosts) accept
                    iifname "\(interface)" goto answers
                    iifname != "lo" ip6 daddr \(MeshAddress.everything) counter name foreign drop
                }
            """
    }

    private func forwardChain(forwardsOnlyOurs: Bool) -> String {
        let group = "\(Self.linkGroup)"
        return """
                # Through this host: between machines, and between machines and the mesh; nothing else.
                chain forward {
                    type filter hook forward priority filter; policy accept;
                    iifgroup \(group) jump sender
                    iifgroup \(group) oifname "\(interface)" ip6 daddr \(MeshAddress.hosts) goto answers
                    iifgroup \(group) iifname . ip6 daddr != @\(Self.networkSet) counter name foreign drop
                    iifname "\(interface)" oifname "\(interface)" reject with icmpv6 addr-unreachable
                    oifgroup \(group) meta nfproto ipv4 counter name foreign drop
                    oifgroup \(group) iifgroup != \(group) iifname != "\(interface)" counter name foreign drop
                    oifgroup \(group) oifname . ip6 daddr != @\(Self.linkSet) counter name foreign drop
                    oifgroup \(group) ip6 saddr \(MeshAddress.hosts) ip6 daddr . tcp dport @\(Self.closedSet) \
            reject with tcp reset
                    oifgroup \(group) ip6 saddr \(MeshAddress.hosts) accept
                    oifgroup \(group) oifname . ip6 saddr != @\(Self.networkSet) counter name foreign drop
                    oifgroup \(group) accept
                    iifgroup \(group) oifname != "\(interface)" counter name foreign drop
                    iifname "\(interface)" counter name foreign drop
                    oifname "\(interface)" iifgroup != \(group) counter name foreign drop
            \(forwardsOnlyOurs ? Self.nothingElse : "")
                }
            """
    }

    /// The switch for forwarding is one for all links of the host. Where it was off before us, the host has not become
    /// a router between its other links.
    private static let nothingElse =
        "        iifgroup != \(linkGroup) oifgroup != \(linkGroup) meta nfproto ipv6 counter name foreign drop"
}

extension MachineLink {
    /// All addresses of the machine's network.
    var networkRange: ClosedRange<IPv6Address> {
        let high = address.high & ~0xffff
        return IPv6Address(high: high, low: 0)...IPv6Address(high: high | 0xffff, low: .max)
    }
}
