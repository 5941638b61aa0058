import RoostModel

/// The nftables table `inet roost`: who may talk to whom on this host.
///
/// It keeps no connections: what a machine may send to a host is recognised as an answer by its TCP flags or ICMPv6
/// type, so there is no table that a busy edge could fill, and nothing is lost when the rules are loaded again.
/// Machines' links are told from all others by their link group, which they have from the moment they exist.
struct MeshRules: Sendable {
    let interface: String

    static let table = "inet roost"
    /// The link group of the hosts' ends of machines' links.
    static let linkGroup = 4280
    /// The host's end of every machine's link, the machine's router; the machine's end.
    static let routerAddress = "fe80::1"
    static let machineLinkLocal = "fe80::2"
    /// The host's end of a machine's link: 15 characters, the longest name Linux allows.
    static func linkName(of machine: MachineID) -> String { "m" + machine.text }

    /// Makes the table, or brings its chains up to date; sets keep their elements and counters their counts.
    ///
    /// - `links`: (host's end of a machine's link, an address the machine has).
    /// - `networks`: (host's end of a machine's link, prefix of the machine's network).
    /// - `closed`: service ports that hosts and edges must not reach now.
    var base: String {
        let group = "\(Self.linkGroup)"
        let chains = ["answers", "sender", "input", "forward", "output"]
        return """
            table \(Self.table) {
                set links { type ifname . ipv6_addr; }
                set networks { type ifname . ipv6_addr; flags interval; }
                set closed { type ipv6_addr . inet_service; }
                counter spoofed { }
                counter foreign { }
                chain answers { }
                chain sender { }
                chain input { type filter hook input priority filter; policy accept; }
                chain forward { type filter hook forward priority filter; policy accept; }
                chain output { type filter hook output priority filter; policy accept; }
            }
            \(chains.map { "flush chain \(Self.table) \($0)" }.joined(separator: "\n"))
            table \(Self.table) {
                # What a machine may send to a host, which may have asked for it. A lone SYN opens a connection;
                # nothing else can.
                chain answers {
                    tcp flags & (syn | ack | rst) != syn accept
                    icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, \
            parameter-problem } accept
                    counter name foreign drop
                }
                # A machine speaks IPv6 only, and only for itself.
                chain sender {
                    meta nfproto ipv4 counter name foreign drop
                    iifname . ip6 saddr != @links counter name spoofed drop
                }
                # To this host. Its own services are for hosts, over the mesh.
                chain input {
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
                # Through this host: between machines, and between machines and the mesh; nothing else.
                chain forward {
                    iifgroup \(group) jump sender
                    iifgroup \(group) oifname "\(interface)" ip6 daddr \(MeshAddress.hosts) goto answers
                    iifgroup \(group) iifname . ip6 daddr != @networks counter name foreign drop
                    iifname "\(interface)" oifname "\(interface)" reject with icmpv6 addr-unreachable
                    oifgroup \(group) meta nfproto ipv4 counter name foreign drop
                    oifgroup \(group) iifgroup != \(group) iifname != "\(interface)" counter name foreign drop
                    oifgroup \(group) oifname . ip6 daddr != @links counter name foreign drop
                    oifgroup \(group) ip6 saddr \(MeshAddress.hosts) ip6 daddr . tcp dport @closed \
            reject with tcp reset
                    oifgroup \(group) ip6 saddr \(MeshAddress.hosts) accept
                    oifgroup \(group) oifname . ip6 saddr != @networks counter name foreign drop
                    oifgroup \(group) accept
                    iifgroup \(group) oifname != "\(interface)" counter name foreign drop
                    iifname "\(interface)" counter name foreign drop
                    oifname "\(interface)" iifgroup != \(group) counter name foreign drop
                }
                # From this host itself, which is an edge too.
                chain output {
                    oifgroup \(group) ip6 daddr . tcp dport @closed reject with tcp reset
                }
            }
            """ + "\n"
    }

    /// Lets a machine onto the mesh; to be loaded before its link comes up.
    func admit(_ machine: MachineLink) -> String {
        let link = Self.linkName(of: machine.machine)
        return """
            add element \(Self.table) links { "\(link)" . \(machine.address), "\(link)" . \(Self.machineLinkLocal) }
            add element \(Self.table) networks { "\(link)" . \(machine.network.prefix) }

            """
    }

    func dismiss(_ elements: [RuleElement]) -> String {
        elements.map { "delete element \(Self.table) \($0.set) { \"\($0.link)\" . \($0.value) }\n" }.joined()
    }

    func close(_ ports: [ClosedPort]) -> String {
        let flush = "flush set \(Self.table) closed\n"
        guard !ports.isEmpty else { return flush }
        let elements = ports.map { "\($0.address) . \($0.port)" }.joined(separator: ", ")
        return flush + "add element \(Self.table) closed { \(elements) }\n"
    }
}

/// One element of the sets `links` or `networks`.
struct RuleElement: Hashable, Sendable {
    var set: String
    var link: String
    var value: String
}
