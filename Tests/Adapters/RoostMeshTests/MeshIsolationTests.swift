import RoostLinux
import RoostMesh
import RoostModel
import Testing

/// What a machine must not be able to do.
@Suite(.serialized) struct MeshIsolationTests {
    @Test func networksDoNotSeeEachOther() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let machine = try await planet.attach("00000000000a11", network: 7, on: planet.hosts[0])
            let neighbour = try await planet.attach("00000000000a12", network: 8, on: planet.hosts[0])
            let stranger = try await planet.attach("00000000000b11", network: 8, on: planet.hosts[1])
            let friend = try await planet.attach("00000000000b12", network: 7, on: planet.hosts[1])
            let sibling = try await planet.attach("00000000000a1a", network: 7, on: planet.hosts[0])
            try await planet.connect(machines: [
                planet.hosts[0].name: [machine.address, neighbour.address, sibling.address],
                planet.hosts[1].name: [stranger.address, friend.address],
            ])
            #expect(try await MeshPlanet.reaches(from: machine.path, to: friend.address))
            #expect(try await MeshPlanet.reaches(from: machine.path, to: sibling.address))
            #expect(try await MeshPlanet.reaches(from: neighbour.path, to: stranger.address))
            let before = try await planet.counter("foreign", on: planet.hosts[0])
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(neighbour.address)"))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(stranger.address)"))
            #expect(try await planet.counter("foreign", on: planet.hosts[0]) >= before + 2)
        }
    }

    /// Rules at the receiving end do not trust those of the sending host.
    @Test func receivingHostChecksToo() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let machine = try await planet.attach("00000000000a13", network: 7, on: planet.hosts[0])
            let stranger = try await planet.attach("00000000000b13", network: 8, on: planet.hosts[1])
            try await planet.connect(machines: [
                planet.hosts[0].name: [machine.address], planet.hosts[1].name: [stranger.address],
            ])
            #expect(try await MeshPlanet.reaches(from: planet.hosts[0].networkPath, to: stranger.address))
            try await planet.run(planet.hosts[0].namespace, "nft", "flush", "chain", "inet", "roost", "forward")
            let before = try await planet.counter("foreign", on: planet.hosts[1])
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(stranger.address)"))
            #expect(try await planet.counter("foreign", on: planet.hosts[1]) == before + 1)
        }
    }

    @Test func spoofedSourcesAreDroppedAndCounted() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let machine = try await planet.attach("00000000000a14", network: 7, on: planet.hosts[0])
            let friend = try await planet.attach("00000000000b14", network: 7, on: planet.hosts[1])
            try await planet.connect(machines: [
                planet.hosts[0].name: [machine.address], planet.hosts[1].name: [friend.address],
            ])
            #expect(try await MeshPlanet.reaches(from: machine.path, to: friend.address))
            // Another machine of the network, a host, anything.
            for spoofed in ["fdaa:0:7::99", "\(planet.hosts[1].address)", "2001:db8::99"] {
                let before = try await planet.counter("spoofed", on: planet.hosts[0])
                try await Command(
                    "nsenter",
                    ["--net=" + machine.path, "--", "ip", "addr", "add", spoofed + "/128", "dev", "lo", "nodad"]
                ).run()
                for target in [friend.address, planet.hosts[0].address] {
                    #expect(try await !MeshPlanet.ping(from: machine.path, ["-I", spoofed], to: "\(target)"))
                }
                #expect(try await planet.counter("spoofed", on: planet.hosts[0]) >= before + 2, "\(spoofed)")
            }
        }
    }

    @Test func hostsServicesAreForHosts() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let home = planet.hosts[0]
            let away = planet.hosts[1]
            let machine = try await planet.attach("00000000000a15", network: 7, on: home)
            try await planet.connect(machines: [home.name: [machine.address]])
            #expect(try await MeshPlanet.reaches(from: away.networkPath, to: machine.address))
            for port in [UInt16(4280), 2379, 2380] {
                for host in [home, away] {
                    try await NamespaceListener.with(host.networkPath, port: port) {
                        let fromMachine = try await NamespaceTCP.attempt(
                            from: machine.path, to: host.address, port: port)
                        #expect(fromMachine == .silence)
                        for peer in planet.hosts {
                            let fromHost = try await NamespaceTCP.attempt(
                                from: peer.networkPath, to: host.address, port: port)
                            #expect(fromHost == .connected)
                        }
                    }
                }
            }
            // Nor by another name of the host: its outside address, its end of the machine's link.
            try await NamespaceListener.with(home.networkPath, port: 4280) {
                let outside = try await NamespaceTCP.attempt(
                    from: machine.path, to: try IPv6Address("2001:db8::1"), port: 4280)
                #expect(outside == .silence)
            }
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "fe80::1%eth0"))
        }
    }

    @Test func outsideDoesNotReachTheMesh() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a16", network: 7, on: host)
            try await planet.run(planet.internet, "ip", "-6", "route", "add", "fdaa::/16", "via", "2001:db8::1")
            try await NamespaceListener.with(host.networkPath, port: 4280) {
                let internet = "/run/netns/" + planet.internet
                #expect(try await NamespaceTCP.attempt(from: internet, to: host.address, port: 4280) == .silence)
                #expect(try await !MeshPlanet.ping(from: internet, [], to: "\(machine.address)"))
                // What the rules keep out is only the mesh: the same service on the outside address is the host's
                // own affair.
                let outside = try IPv6Address("2001:db8::1")
                #expect(try await NamespaceTCP.attempt(from: internet, to: outside, port: 4280) == .connected)
            }
        }
    }

    @Test func machineDoesNotReachTheInternet() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a17", network: 7, on: host)
            // A way back, so that only the rules are in the way.
            try await planet.run(planet.internet, "ip", "-6", "route", "add", "fdaa::/16", "via", "2001:db8::1")
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: MeshPlanet.internetAddress6))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: MeshPlanet.internetAddress6))
            // A machine that gives itself IPv4, on a host that forwards it.
            try await planet.run(host.namespace, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
            try await planet.run(host.namespace, "ip", "addr", "add", "198.18.9.1/30", "dev", "m00000000000a17")
            try await planet.run(planet.internet, "ip", "route", "add", "198.18.9.0/30", "via", host.underlay)
            for command in [
                ["addr", "add", "198.18.9.2/30", "dev", "eth0"], ["route", "add", "default", "via", "198.18.9.1"],
            ] {
                try await Command("nsenter", ["--net=" + machine.path, "--", "ip"] + command).run()
            }
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "198.18.9.1"))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: MeshPlanet.internetAddress))
        }
    }

    /// A machine that claims other addresses to its host's neighbour discovery gets nothing.
    @Test func neighbourDiscoveryIsForOwnAddresses() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a18", network: 7, on: host)
            // The host has to find the machine by discovery, and may find it again after forgetting it.
            for _ in 0..<2 {
                try await planet.run(host.namespace, "ip", "-6", "neigh", "flush", "dev", "m00000000000a18")
                #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            }
            let before = try await planet.counter("spoofed", on: host)
            try await Command(
                "nsenter",
                ["--net=" + machine.path, "--", "ip", "addr", "add", "fe80::99/64", "dev", "eth0", "nodad"]
            ).run()
            #expect(try await !MeshPlanet.ping(from: machine.path, ["-I", "fe80::99%eth0"], to: "fe80::1%eth0"))
            #expect(try await planet.counter("spoofed", on: host) > before)
        }
    }
}
