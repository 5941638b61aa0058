import Glibc
import RoostLinux
import RoostModel

/// What the mesh asks of the interface that its peers are at.
protocol PeerDevice: Sendable {
    /// Makes the interface if there is none that answers, and gives it its key, port, address and route.
    func bringUp() async throws(MeshError)
    /// Whether the host forwarded IPv6 between its links before there was a mesh. On a thread in the host's namespace.
    func forwardsForOthers() throws(MeshError) -> Bool
    /// There is an interface of this name. On a thread in the host's namespace.
    func isThere() -> Bool
    /// Nil when there is no interface, as after the death of the process that held it. An interface that does not
    /// answer is an error: nobody knows what its peers are.
    func state() async throws(MeshError) -> WireGuardState?
    /// As many peers at once as can be; when the device refuses some, the others come all the same.
    /// - Throws: at the end, if any was refused.
    func apply(_ changes: PeerChanges) async throws(MeshError)
    /// Takes the interface away.
    func remove() async throws(MeshError)
}

/// The host's WireGuard interface: in the kernel where it can, else held by a `wireguard-go` that outlives us.
struct WireGuardDevice: PeerDevice {
    let configuration: MeshConfiguration
    let commands: HostCommands

    init(configuration: MeshConfiguration) {
        self.configuration = configuration
        commands = HostCommands(networkNamespace: configuration.networkNamespace)
    }

    /// `wg set` takes so many peers at a time.
    static let peersPerCommandMax = 64

    private var interface: String { configuration.interface }

    func bringUp() async throws(MeshError) {
        if try await state() == nil { try await create() }
        guard let state = try await state() else {
            throw MeshError(operation: "bring up", subject: interface, cause: "it vanished; see what wireguard-go says")
        }
        let publicKey = try MeshKey.ensure(stateDirectory: configuration.stateDirectory)
        var changes: [String] = []
        if state.listenPort != configuration.listenPort { changes += ["listen-port", "\(configuration.listenPort)"] }
        if state.publicKey != publicKey {
            changes += ["private-key", MeshKey.path(in: configuration.stateDirectory)]
        }
        if !changes.isEmpty {
            try await commands.run("configure", of: interface, "wg", ["set", interface] + changes)
        }
        try await NetworkNamespace.run(
            in: configuration.networkNamespace, failing: { Self.cannotForward($0) }
        ) { () throws(MeshError) in
            do throws(SystemError) { try Self.forward() } catch { throw Self.cannotForward(error) }
        }
        try await commands.ip(
            "address", of: interface,
            [
                "link set dev \(interface) mtu \(configuration.mtu) addrgenmode none up",
                "addr replace \(configuration.address)/128 dev \(interface) nodad",
                "route replace \(MeshAddress.everything) dev \(interface) src \(configuration.address)",
            ])
    }

    private static func cannotForward(_ error: SystemError) -> MeshError {
        MeshError(operation: "set forwarding", subject: "this host", cause: error.description)
    }

    /// On a thread in the host's namespace.
    private static func forward() throws(SystemError) {
        let links = "/proc/sys/net/ipv6/conf"
        // Forwarding would make the kernel ignore router advertisements; a host may live by them.
        for name in try FolderListing.names(in: links) {
            let setting = "ipv6/conf/\(name)/accept_ra"
            if try NetworkNamespace.setting(setting) == "1" { try NetworkNamespace.set(setting, to: "2") }
        }
        for setting in ["all/disable_ipv6", "default/disable_ipv6"] {
            try NetworkNamespace.set("ipv6/conf/" + setting, to: "0")
        }
        try NetworkNamespace.set(forwarding, to: "1")
    }

    /// Where it did, somebody wants it, and it is left so. Looked at once from one start of the host to the next, since afterwards it is our own doing: the answer is
    /// kept in the run directory, which goes with the settings when the host restarts.
    func forwardsForOthers() throws(MeshError) -> Bool {
        let path = configuration.runDirectory + "/forwarded-before"
        do throws(SystemError) {
            if let known = try DurableFile.read(path, bytesMax: 64) { return known.first == UInt8(ascii: "1") }
            let before = try NetworkNamespace.setting(Self.forwarding) ?? "0"
            try DurableFile.makeFolder(configuration.runDirectory)
            try DurableFile.write(before + "\n", to: path, mode: 0o644)
            return before == "1"
        } catch {
            throw Self.cannotForward(error)
        }
    }

    private static let forwarding = "ipv6/conf/all/forwarding"

    func isThere() -> Bool { if_nametoindex(interface) != 0 }

    func state() async throws(MeshError) -> WireGuardState? {
        let answer = try await commands.ask("look at", of: interface, "wg", ["show", interface, "dump"])
        if answer.succeeded { return try WireGuardState(dump: answer.output) }
        let isThere = try await commands.ask("look at", of: interface, "ip", ["link", "show", "dev", interface])
        guard isThere.succeeded else { return nil }
        throw MeshError(
            operation: "look at", subject: interface,
            cause: "the interface is there and WireGuard does not answer for it: 'wg show \(interface)' failed")
    }

    func apply(_ changes: PeerChanges) async throws(MeshError) {
        var refused: [String] = []
        var rest = changes.arguments[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.peersPerCommandMax)
            rest = rest.dropFirst(part.count)
            do throws(MeshError) { try await set(Array(part)) } catch {
                guard part.count > 1 else {
                    refused.append(error.description)
                    continue
                }
                for one in part {
                    do throws(MeshError) { try await set([one]) } catch { refused.append(error.description) }
                }
            }
        }
        guard refused.isEmpty else {
            throw MeshError(operation: "set peers", subject: interface, cause: refused.joined(separator: "; "))
        }
    }

    private func set(_ peers: [[String]]) async throws(MeshError) {
        try await commands.run("set peers", of: interface, "wg", ["set", interface] + peers.flatMap { $0 })
    }

    private func create() async throws(MeshError) {
        // ip link add roost0 type wireguard
        let inKernel = try await commands.ask(
            "create", of: interface, "ip", ["link", "add", "dev", interface, "type", "wireguard"])
        if inKernel.succeeded { return }
        // Without -f it puts itself into the background once the interface is there; in a session of its own no
        // signal meant for us reaches it. What a killed one left in /run/wireguard it clears away itself.
        try await commands.run("create", of: interface, "setsid", ["--wait", "sh", "-c", Self.start, interface])
    }

    /// Whatever hosts say to each other goes through it, leases and the store's heartbeats too: it comes somewhat before
    /// those who wait for that. Among the processes of its group, and as a session of its own where the kernel shares the
    /// processor among sessions first (sched(7), "The autogroup feature"); a kernel without that has no such file.
    private static let start =
        "{ echo \(nice) >/proc/self/autogroup; } 2>/dev/null; exec nice -n \(nice) wireguard-go \"$0\""
    private static let nice = -5

    /// wireguard-go ends with it.
    func remove() async throws(MeshError) {
        if try await commands.ask("look at", of: interface, "ip", ["link", "show", "dev", interface]).succeeded {
            try await commands.run("remove", of: interface, "ip", ["link", "del", "dev", interface])
        }
    }
}
