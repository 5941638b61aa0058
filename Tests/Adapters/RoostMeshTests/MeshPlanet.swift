import Foundation
import RoostLinux
import RoostMesh
import RoostModel
import RoostPeers

/// A few hosts on one switch, each in a network namespace of its own with its own mesh. The switch's namespace is
/// the Internet: every host's default route leads there, IPv4 and IPv6.
struct MeshPlanet {
    struct Host {
        var name: HostName
        var namespace: String
        var underlay: String
        var mesh: WireGuardMesh
        var configuration: MeshConfiguration
        var identity: MeshIdentity

        var networkPath: String { "/run/netns/" + namespace }
        var address: IPv6Address { identity.address }

        func peer(machines: [IPv6Address] = []) -> MeshPeer {
            MeshPeer(host: name, identity: identity, machines: machines)
        }
    }

    /// One machine, and where it is.
    struct Machine {
        var link: MachineLink
        var path: String

        var address: IPv6Address { link.address }
    }

    let internet: String
    let folder: String
    var hosts: [Host] = []

    static let internetAddress = "198.18.1.254"
    static let internetAddress6 = "2001:db8::fe"

    private static let serial = Serial()

    /// Names that no other test of this or another process has.
    private actor Serial {
        private var count = 0
        func next() -> String {
            count += 1
            return "\(getpid())-\(count)"
        }
    }

    /// Builds a planet, hands it out, and takes it away whatever happens.
    static func with(hosts count: Int, _ body: (MeshPlanet) async throws -> Void) async throws {
        let id = await serial.next()
        var planet = MeshPlanet(internet: "rmi\(id)", folder: "/tmp/roost-mesh-test-\(id)")
        do {
            try await planet.build(id: id, count: count)
            try await body(planet)
        } catch {
            await planet.remove()
            throw error
        }
        await planet.remove()
    }

    private mutating func build(id: String, count: Int) async throws {
        try await Command("ip", ["netns", "add", internet]).run()
        try await run(internet, "ip", "link", "add", "name", "switch", "type", "bridge")
        try await run(internet, "ip", "addr", "add", Self.internetAddress + "/24", "dev", "switch")
        try await run(internet, "ip", "addr", "add", Self.internetAddress6 + "/64", "dev", "switch", "nodad")
        try await run(internet, "ip", "link", "set", "dev", "switch", "up")
        for index in 0..<count {
            let namespace = "rmh\(id)-\(index)"
            try await Command("ip", ["netns", "add", namespace]).run()
            try await run(
                internet, "ip", "link", "add", "name", "port\(index)", "type", "veth", "peer", "name", "eth0", "netns",
                namespace)
            try await run(internet, "ip", "link", "set", "dev", "port\(index)", "master", "switch", "up")
            let underlay = "198.18.1.\(index + 1)"
            try await run(namespace, "ip", "link", "set", "dev", "lo", "up")
            try await run(namespace, "ip", "addr", "add", underlay + "/24", "dev", "eth0")
            try await run(namespace, "ip", "addr", "add", "2001:db8::\(index + 1)/64", "dev", "eth0", "nodad")
            try await run(namespace, "ip", "link", "set", "dev", "eth0", "up")
            try await run(namespace, "ip", "route", "add", "default", "via", Self.internetAddress)
            try await run(namespace, "ip", "-6", "route", "add", "default", "via", Self.internetAddress6)
            let name = try HostName("host\(index)")
            let configuration = MeshConfiguration(
                host: name, interface: "rw\(id)-\(index)", endpoint: try UnderlayEndpoint(underlay + ":51820"),
                stateDirectory: folder + "/host\(index)/state", runDirectory: folder + "/host\(index)/run",
                networkNamespace: "/run/netns/" + namespace)
            let mesh = WireGuardMesh(configuration: configuration)
            let identity = try await mesh.start()
            hosts.append(
                Host(
                    name: name, namespace: namespace, underlay: underlay, mesh: mesh, configuration: configuration,
                    identity: identity))
        }
        try await connect(machines: [:])
    }

    /// Tells every host where every machine is.
    func connect(machines: [HostName: [IPv6Address]]) async throws {
        for host in hosts {
            try await host.mesh.setPeers(
                hosts.filter { $0.name != host.name }.map { $0.peer(machines: machines[$0.name] ?? []) })
        }
    }

    /// Attaches a machine, and tells nobody.
    /// - Parameter hasWayOut: it has rights that machines do not have, and gives itself a way to everywhere, so that
    ///   only the host's rules are between it and others.
    func attach(_ id: String, network: UInt32, on host: Host, hasWayOut: Bool = true) async throws -> Machine {
        let machine = try MachineID(id)
        let network = NetworkNumber(network)
        let link = MachineLink(
            machine: machine, network: network, address: MeshAddress.machine(machine, in: network))
        let path = try await host.mesh.attachedPath(link)
        if hasWayOut {
            let way = ["-6", "route", "replace", "default", "via", "fe80::1", "dev", "eth0"]
            try await Command("nsenter", ["--net=" + path, "--", "ip"] + way).run()
        }
        return Machine(link: link, path: path)
    }

    private func remove() async {
        for host in hosts {
            do { try await host.mesh.remove() } catch { print("cleaning up: \(error)") }
            _ = try? await Command("ip", ["netns", "del", host.namespace]).run()
        }
        _ = try? await Command("ip", ["netns", "del", internet]).run()
        try? FileManager.default.removeItem(atPath: folder)
    }

    @discardableResult
    func run(_ namespace: String, _ program: String, _ arguments: String...) async throws -> String {
        try await Command("nsenter", ["--net=/run/netns/" + namespace, "--", program] + arguments).run().standardOutput
    }

    /// A counter of the host's rules.
    func counter(_ name: String, on host: Host) async throws -> Int {
        let text = try await run(host.namespace, "nft", "list", "counter", "inet", "roost", name)
        let words = text.split { $0 == " " || $0 == "\n" || $0 == "\t" }
        guard let index = words.firstIndex(of: "packets"), let count = Int(words[index + 1]) else { return -1 }
        return count
    }

    /// True when an answer came within about a second.
    static func ping(from path: String, _ options: [String], to target: String) async throws -> Bool {
        try await Command("nsenter", ["--net=" + path, "--", "ping", "-n", "-c", "1", "-W", "1"] + options + [target])
            .outcome().status == 0
    }

    /// Waits until the first handshake is done and answers come.
    static func reaches(from path: String, to target: IPv6Address) async throws -> Bool {
        try await poll(for: .seconds(10), every: .milliseconds(100)) {
            try await ping(from: path, [], to: "\(target)") ? true : nil
        } ?? false
    }
}

extension WireGuardMesh {
    /// Attaches it, and says where: what is in its network is looked at from there.
    func attachedPath(_ link: MachineLink) async throws(MeshError) -> String {
        try await attach(link)
        return switch attachment(of: link.machine) {
        case .namespace(let path): path
        }
    }
}
