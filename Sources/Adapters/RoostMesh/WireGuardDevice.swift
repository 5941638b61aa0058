import RoostModel

/// The host's WireGuard interface: in the kernel where it can, else held by a `wireguard-go` that outlives us.
struct WireGuardDevice: Sendable {
    let configuration: MeshConfiguration
    let commands: HostCommands

    /// `wg set` takes so many peers at a time.
    static let peersPerCommandMax = 64

    private var interface: String { configuration.interface }

    /// Makes the interface if there is none that answers, and gives it its key, port, address and route.
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
        // Forwarding would make the kernel ignore router advertisements; a host may live by them.
        let advertised = try await commands.ask(
            "read settings", of: interface, "sysctl", ["-a", "-r", #"^net\.ipv6\.conf\..*\.accept_ra$"#])
        let kept = advertised.output.split(separator: "\n").filter { $0.hasSuffix(" = 1") }.map {
            $0.prefix { $0 != " " } + "=2"
        }
        try await commands.run(
            "set forwarding", of: interface, "sysctl",
            ["-q", "-w"] + kept.map(String.init) + [
                "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
                "net.ipv6.conf.all.forwarding=1",
            ])
        try await commands.ip(
            "address", of: interface,
            [
                "link set dev \(interface) mtu \(configuration.mtu) addrgenmode none up",
                "addr replace \(configuration.address)/128 dev \(interface) nodad",
                "route replace \(MeshAddress.everything) dev \(interface) src \(configuration.address)",
            ])
    }

    /// Nil when there is no interface, or one whose process is gone.
    func state() async throws(MeshError) -> WireGuardState? {
        let answer = try await commands.ask("look at", of: interface, "wg", ["show", interface, "dump"])
        return answer.succeeded ? try WireGuardState(dump: answer.output) : nil
    }

    func apply(_ changes: PeerChanges) async throws(MeshError) {
        var rest = changes.arguments[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.peersPerCommandMax)
            rest = rest.dropFirst(part.count)
            try await commands.run("set peers", of: interface, "wg", ["set", interface] + part.flatMap { $0 })
        }
    }

    private func create() async throws(MeshError) {
        // ip link add roost0 type wireguard
        let inKernel = try await commands.ask(
            "create", of: interface, "ip", ["link", "add", "dev", interface, "type", "wireguard"])
        if inKernel.succeeded { return }
        // Without -f it puts itself into the background once the interface is there; in a session of its own no
        // signal meant for us reaches it. What a killed one left in /run/wireguard it clears away itself.
        try await commands.run("create", of: interface, "setsid", ["--wait", "wireguard-go", interface])
    }

    /// Takes the interface away; wireguard-go ends with it.
    func remove() async throws(MeshError) {
        if try await commands.ask("look at", of: interface, "ip", ["link", "show", "dev", interface]).succeeded {
            try await commands.run("remove", of: interface, "ip", ["link", "del", "dev", interface])
        }
    }
}
