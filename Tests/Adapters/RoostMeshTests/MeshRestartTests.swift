import Foundation
import Glibc
import RoostLinux
import RoostMesh
import RoostModel
import Testing

/// What outlives roostd, and what is repaired.
@Suite(.serialized) struct MeshRestartTests {
    @Test func anotherProcessAdoptsWhatIsThere() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a21", network: 7, on: host)
            let far = try await planet.attach("00000000000b21", network: 7, on: planet.hosts[1])
            try await planet.connect(machines: [
                host.name: [machine.address], planet.hosts[1].name: [far.address],
            ])
            #expect(try await MeshPlanet.reaches(from: machine.path, to: far.address))
            let process = try #require(try Self.process(of: host))
            let sessions = try await Self.sessions(on: host, of: planet)

            let successor = WireGuardMesh(configuration: host.configuration)
            #expect(try await successor.start() == host.identity)
            #expect(try await successor.attached() == [machine.link.machine])
            // Before anybody says who the peers are, those that were set go on.
            #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(far.address)"))
            try await successor.setPeers([planet.hosts[1].peer(machines: [far.address])])
            #expect(try await successor.attachedPath(machine.link) == machine.path)
            #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(far.address)"))
            #expect(try Self.process(of: host) == process)
            #expect(try await Self.sessions(on: host, of: planet) == sessions)
        }
    }

    @Test func peerChangesKeepSessions() async throws {
        try await MeshPlanet.with(hosts: 3) { planet in
            let host = planet.hosts[0]
            #expect(try await MeshPlanet.reaches(from: host.networkPath, to: planet.hosts[1].address))
            let key = planet.hosts[1].identity.publicKey
            let before = try #require(try await Self.sessions(on: host, of: planet)[key])
            let machine = try IPv6Address("fdaa:0:7::2")
            for peers in [
                [planet.hosts[1].peer()], [planet.hosts[1].peer(machines: [machine]), planet.hosts[2].peer()],
                [planet.hosts[1].peer(), planet.hosts[2].peer(machines: [machine])],
            ] {
                try await host.mesh.setPeers(peers)
                #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(planet.hosts[1].address)"))
            }
            #expect(try await Self.sessions(on: host, of: planet)[key] == before)
            try await host.mesh.setPeers([])
            #expect(try await Self.sessions(on: host, of: planet).isEmpty)
        }
    }

    @Test func seedsStayUntilTheyAreNamed() async throws {
        try await MeshPlanet.with(hosts: 3) { planet in
            var configuration = planet.hosts[0].configuration
            configuration.seeds = [planet.hosts[1].peer()]
            let mesh = WireGuardMesh(configuration: configuration)
            _ = try await mesh.start()
            try await mesh.setPeers([planet.hosts[2].peer()])
            let keys = Set(try await Self.sessions(on: planet.hosts[0], of: planet, onlyUp: false).keys)
            #expect(keys == Set(planet.hosts[1...].map(\.identity.publicKey)))
        }
    }

    @Test func deadProcessIsReplacedByStart() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a22", network: 7, on: host)
            try await planet.connect(machines: [host.name: [machine.address]])
            #expect(try await MeshPlanet.reaches(from: planet.hosts[1].networkPath, to: machine.address))
            try await Self.killInterface(of: host, in: planet)
            #expect(try await host.mesh.start() == host.identity)
            #expect(try await MeshPlanet.reaches(from: planet.hosts[1].networkPath, to: machine.address))
        }
    }

    @Test func deadProcessIsReplacedWhileRunning() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            try await withThrowingTaskGroup { group in
                group.addTask { try await host.mesh.run() }
                defer { group.cancelAll() }
                #expect(try await MeshPlanet.reaches(from: host.networkPath, to: planet.hosts[1].address))
                try await Self.killInterface(of: host, in: planet)
                let process = try await poll(for: WireGuardMesh.repairInterval + .seconds(10)) {
                    try Self.process(of: host)
                }
                #expect(process != nil)
                #expect(try await MeshPlanet.reaches(from: host.networkPath, to: planet.hosts[1].address))
            }
        }
    }

    @Test func probesMeasureEachPeerAndSeeOneWayLoss() async throws {
        try await MeshPlanet.with(hosts: 3) { planet in
            try await withThrowingTaskGroup { group in
                for host in planet.hosts { group.addTask { try await host.mesh.run() } }
                defer { group.cancelAll() }
                for host in planet.hosts {
                    let all = try await poll(for: .seconds(10)) { () -> [PathMeasurement]? in
                        let all = await host.mesh.measurements()
                        return all.count == 2 && all.allSatisfy { $0.probesAnswered >= 10 } ? all : nil
                    }
                    let measured = try #require(all)
                    #expect(measured.map(\.peer) == planet.hosts.map(\.name).filter { $0 != host.name })
                    for path in measured {
                        #expect((path.roundTripMicroseconds ?? .max) < 50_000)
                        #expect(path.lossPercent < 20)
                    }
                }
                // What host1 sends to host0 is lost; the other way is fine.
                try await planet.run(planet.hosts[0].namespace, "nft", "add table ip fault")
                try await planet.run(
                    planet.hosts[0].namespace, "nft",
                    "add chain ip fault in { type filter hook prerouting priority -300; }")
                try await planet.run(
                    planet.hosts[0].namespace, "nft",
                    "add rule ip fault in ip saddr \(planet.hosts[1].underlay) udp dport 51821 drop")
                for (here, there) in [(0, 1), (1, 0)] {
                    let lossy = try await poll(for: .seconds(10)) { () -> PathMeasurement? in
                        await planet.hosts[here].mesh.measurements().first {
                            $0.peer == planet.hosts[there].name && $0.lossPercent > 90
                        }
                    }
                    #expect(lossy != nil)
                }
                let fine = await planet.hosts[0].mesh.measurements().first { $0.peer == planet.hosts[2].name }
                #expect((fine?.lossPercent ?? 100) < 20)
                // Something on the way to host2 drops large packets and says nothing.
                try await planet.run(
                    planet.hosts[0].namespace, "nft",
                    "add rule ip fault in ip saddr \(planet.hosts[2].underlay) ip length > 1300 drop")
                let small = try await poll(for: .seconds(40)) { () -> PathMeasurement? in
                    await planet.hosts[0].mesh.measurements().first {
                        $0.peer == planet.hosts[2].name && ($0.fullSizeLossPercent ?? 0) >= 50
                    }
                }
                #expect((small?.lossPercent ?? 100) < 20)
            }
        }
    }

    /// The pid of the process that holds the host's interface.
    static func process(of host: MeshPlanet.Host) throws -> Int32? {
        for name in try FolderListing.names(in: "/proc") {
            guard let pid = Int32(name),
                let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline")
            else { continue }
            let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            if words.first == "wireguard-go", words.last == host.configuration.interface { return pid }
        }
        return nil
    }

    static func killInterface(of host: MeshPlanet.Host, in planet: MeshPlanet) async throws {
        let pid = try #require(try process(of: host))
        kill(pid, SIGKILL)
        let gone = try await poll(for: .seconds(5)) { () -> Bool? in
            let show = try await Command(
                "nsenter",
                ["--net=" + host.networkPath, "--", "ip", "link", "show", "dev", host.configuration.interface]
            ).outcome()
            return show.status == 0 ? nil : true
        }
        #expect(gone == true)
    }

    /// Time of the latest handshake by public key: a session that was dropped would have another.
    private static func sessions(
        on host: MeshPlanet.Host, of planet: MeshPlanet, onlyUp: Bool = true
    ) async throws -> [String: String] {
        let text = try await planet.run(
            host.namespace, "wg", "show", host.configuration.interface, "latest-handshakes")
        var sessions: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            if fields[1] != "0" || !onlyUp { sessions[fields[0]] = fields[1] }
        }
        return sessions
    }
}
