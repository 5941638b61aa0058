import RoostModel

extension HostSettings {
    /// Every setting there is, in the order of the page that describes them.
    public static let catalogue: [Setting] = hostItself + planetsParts + edges

    /// Groups that may be absent as a whole.
    static let optionalGroups: Set<String> = ["edge"]

    private static let hostNames = "1 to \(HostNameKind.lengthMax) \(LabelRule.letters)"

    private static let hostItself: [Setting] = [
        Setting(
            "host", .text(name("a host name: \(hostNames)") { (try? HostName($0)) != nil }), .required,
            "this host's name, unique on the planet"),
        Setting(
            "region", .text(name("2 to 8 lower-case letters") { (try? RegionCode($0)) != nil }), .required,
            "the region that the host is in"),
        Setting(
            "state_dir", .text(path), .byDefault(.text(Defaults.stateFolder)),
            "what must survive: the ledger, volumes, keys; gets mode 0700"),
        Setting(
            "run_dir", .text(path), .byDefault(.text(Defaults.runFolder)),
            "what a boot may clear: sockets; gets mode 0711"),
        Setting("capacity.cpus", .number(1...4096, unit: "CPUs"), .required, "what machines may use together"),
        Setting(
            "capacity.memory_mb", .number(128...(16 << 20), unit: "MiB"), .required, "what machines may use together"),
        Setting("capacity.disk_gb", .number(1...(256 << 10), unit: "GiB"), .required, "what volumes may use together"),
        Setting(
            "cgroup_parent", .text(path), .byDefault(.text(Defaults.cgroupParent)),
            "the control group below which machines run"),
        Setting(
            "images.directory", .text(path), .byDefault(.text(Defaults.imageFolder)), "where images are unpacked"),
        Setting(
            "images.postgres", .text(Setting.Rule(words: "an image") { (try? ImageReference($0)) != nil }),
            .byDefault(.text(Defaults.postgresImage)), "what members of clusters run unless the cluster names an image"),
        Setting(
            "images.allowed_directories", .texts(path), .byDefault(.list([])),
            "folders of the host that may be images, by `dir:` and `oci:`; whoever creates machines can read them"),
        Setting(
            "images.keep_hours", .number(1...8760, unit: "h"), .byDefault(.integer(Int64(Defaults.imageHours))),
            "how long an image stays that nothing uses"),
        Setting(
            "disk.reserve_gb", .number(1...1024, unit: "GiB"), .byDefault(.integer(Int64(Defaults.diskReserve))),
            "what is left free on the disks of `state_dir` and `images.directory`, for the ledger, etcd and logs; with less "
                + "than three times that, unused images go before their time, with less than twice, no image is fetched or "
                + "unpacked and no volume made, with less than that no machine is created and the one ends that has written "
                + "most outside of volumes"),
        Setting(
            "disk.root_gb", .number(1...1024, unit: "GiB"), .byDefault(.integer(Int64(Defaults.diskRoot))),
            "what one machine may have written outside of volumes; with more it ends"),
        Setting(
            "log.level", .word(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
            .byDefault(.text(Defaults.logLevel)), "what is written to standard error"),
        Setting(
            "log.format", .word(LogFormat.allCases.map(\.rawValue)), .byDefault(.text(LogFormat.text.rawValue)),
            "for people, or one JSON object on each line"),
    ]

    private static let planetsParts: [Setting] = [
        Setting(
            "store.backend", .word(Store.Backend.allCases.map(\.rawValue)),
            .byDefault(.text(Store.Backend.sqlite.rawValue)), "`sqlite` on a single host, `etcd` on several"),
        Setting(
            "store.endpoints", .texts(Setting.Rule(words: "a URL such as http://[fdaa::1]:2379", check: isEndpointURL)),
            .byDefault(.list([])), "all members of etcd, the nearest first"),
        Setting("store.member", .flag, .byDefault(.bool(false)), "a member of etcd runs on this host"),
        Setting(
            "mesh.interface",
            .text(
                name("1 to 15 letters, digits, '-' or '_'") { text in
                    (1...15).contains(text.utf8.count) && text.utf8.allSatisfy(isPlain)
                }), .byDefault(.text(Defaults.meshInterface)), "the WireGuard interface"),
        Setting(
            "mesh.listen_port", .number(ports, unit: ""), .byDefault(.integer(Int64(Defaults.meshPort))),
            "WireGuard's UDP port on this host"),
        Setting(
            "mesh.endpoint", .text(endpoint), .required, "this host on the outside, where other hosts send to"),
        Setting(
            "mesh.probe_port", .number(ports, unit: ""), .byDefault(.integer(Int64(Defaults.probePort))),
            "the UDP port of probes on this host"),
        Setting(
            "mesh.mtu", .number(1280...1420, unit: "bytes"), .byDefault(.integer(Int64(Defaults.mtu))),
            "the largest packet in the mesh"),
        Setting(
            "mesh.seeds", .objects(seed), .byDefault(.list([])),
            "hosts that must be reachable before the store can be read: etcd's members at least"),
        Setting(
            "api.tcp_port", .number(ports, unit: ""), .byDefault(.integer(Int64(Defaults.apiPort))),
            "the API on the mesh address, the same on all hosts"),
        Setting(
            "api.token_file", .text(path), .byDefault(.text(Defaults.tokenFile)),
            "holds the planet's token, at least 16 characters, for its owner alone to read"),
        Setting(
            "anycast.prefixes", .texts(name("a prefix such as 203.0.113.0/24") { (try? IPv4Prefix($0)) != nil }),
            .byDefault(.list([])), "what edges announce and clusters have their addresses from, the same on all hosts"),
    ]

    private static let edges: [Setting] = [
        Setting("edge.local_as", .number(numbersOfAS, unit: ""), .required, "the platform's AS number"),
        Setting("edge.router_id", .text(address), .required, "the edge's BGP identifier"),
        Setting("edge.uplinks", .objects(uplink), .required, "the providers, at least one"),
        Setting(
            "edge.imports_routes", .flag, .byDefault(.bool(false)),
            "the host takes its own routes from what its uplinks announce"),
    ]

    private static let seed: [Setting] = [
        Setting("host", .text(name("a host name") { (try? HostName($0)) != nil }), .required, "its name"),
        Setting(
            "public_key", .text(Setting.Rule(words: "a key of WireGuard, 44 characters", check: isKey)), .required,
            "what `roostd mesh-key` prints there"),
        Setting("endpoint", .text(endpoint), .required, "its `mesh.endpoint`"),
        Setting(
            "probe_port", .number(ports, unit: ""), .byDefault(.integer(Int64(Defaults.probePort))),
            "its `mesh.probe_port`"),
    ]

    private static let uplink: [Setting] = [
        Setting(
            "name",
            .text(
                name("1 to 32 lower-case letters, digits, '-' or '_'") { text in
                    (1...32).contains(text.utf8.count) && text == text.lowercased() && text.utf8.allSatisfy(isPlain)
                }), .required, "the provider's name"),
        Setting("neighbor", .text(address), .required, "the provider's address on the link"),
        Setting("neighbor_as", .number(numbersOfAS, unit: ""), .required, "the provider's AS number"),
        Setting("local", .text(address), .required, "this host's address on the link"),
        Setting(
            "password",
            .text(
                name("1 to 80 printable ASCII characters without quotes") { text in
                    (1...80).contains(text.utf8.count)
                        && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") }
                }), .absent("the session is not signed"), "signs the session (RFC 2385)", isSecret: true),
        Setting(
            "ttl_security", .flag, .byDefault(.bool(false)),
            "packets must come from the link itself (RFC 5082), where the provider does the same"),
    ]

    // MARK: - Rules

    private static let ports: ClosedRange<Int64> = 1...65535
    private static let numbersOfAS: ClosedRange<Int64> = 1...Int64(UInt32.max)
    private static let path = Setting.Rule(words: "an absolute path without a / at the end") { text in
        text.hasPrefix("/") && text.utf8.count > 1 && !text.hasSuffix("/") && !text.utf8.contains(0)
    }
    private static let address = Setting.Rule(words: "an IPv4 address") { (try? IPv4Address($0)) != nil }
    private static let endpoint = Setting.Rule(
        words: "an address and a port, such as 192.0.2.11:51820 or [2001:db8::1]:51820", check: isEndpoint)

    private static func name(_ words: String, _ check: @escaping @Sendable (String) -> Bool) -> Setting.Rule {
        Setting.Rule(words: words, check: check)
    }

    private static func isEndpoint(_ text: String) -> Bool { host(beforePortIn: text[...]).map(isAddress) ?? false }

    /// As a client of HTTP can use it: a name or a whole address, and nothing behind the port.
    private static func isEndpointURL(_ text: String) -> Bool {
        let scheme = "http://"
        guard text.hasPrefix(scheme) else { return false }
        return host(beforePortIn: text.dropFirst(scheme.count)).map { isAddress($0) || isDomainName($0) } ?? false
    }

    /// What stands before a colon and a port of 1 to 65535; nil where there is no such port.
    private static func host(beforePortIn text: Substring) -> Substring? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0,
            String(port) == text[text.index(after: colon)...]
        else { return nil }
        return text[..<colon]
    }

    /// An IPv4 address, or an IPv6 address in brackets.
    private static func isAddress(_ host: Substring) -> Bool {
        if host.hasPrefix("["), host.hasSuffix("]") {
            return (try? IPv6Address(String(host.dropFirst().dropLast()))) != nil
        }
        return (try? IPv4Address(String(host))) != nil
    }

    /// Labels of RFC 1123, with underscores as resolvers take them and with a letter somewhere, so that an address with
    /// a mistake in it is no name. A last dot says that the name is whole.
    private static func isDomainName(_ text: Substring) -> Bool {
        let host = text.hasSuffix(".") ? text.dropLast() : text
        return (1...253).contains(host.utf8.count)
            && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy(isPlain)
            }
            && host.split(separator: ".").last?.utf8.contains { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                == true
    }

    private static func isKey(_ text: String) -> Bool {
        text.utf8.count == 44 && text.hasSuffix("=")
            && text.utf8.dropLast().allSatisfy {
                isPlain($0) && $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_")
                    || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/")
            }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
