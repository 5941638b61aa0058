import Foundation
import RoostLinux
import RoostMesh
import RoostModel
import Testing

/// Real hosts: namespaces, wireguard-go, nftables.
@Suite(.serialized) struct WireGuardMeshTests {
    @Test func machinesOfOneNetworkTalkAcrossHosts() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let near = try await planet.attach("00000000000a01", network: 7, on: planet.hosts[0])
            let far = try await planet.attach("00000000000b01", network: 7, on: planet.hosts[1])
            try await planet.connect(machines: [
                planet.hosts[0].name: [near.address], planet.hosts[1].name: [far.address],
            ])
            #expect(try await MeshPlanet.reaches(from: near.path, to: far.address))
            try await NamespaceListener.with(far.path, port: 5432) {
                let arrived = try await NamespaceTCP.send(1 << 20, from: near.path, to: far.address, port: 5432)
                #expect(arrived == 1 << 20)
                // An edge: from the hosts' own addresses, the machine's host and another.
                for host in planet.hosts {
                    let arrived = try await NamespaceTCP.send(
                        1 << 20, from: host.networkPath, to: far.address, port: 5432)
                    #expect(arrived == 1 << 20)
                }
            }
        }
    }

    /// 1420 bytes: 40 of IPv6, 8 of ICMPv6, 1372 of payload.
    @Test func fullSizePacketsPass() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let near = try await planet.attach("00000000000a02", network: 7, on: planet.hosts[0])
            let far = try await planet.attach("00000000000b02", network: 7, on: planet.hosts[1])
            try await planet.connect(machines: [
                planet.hosts[0].name: [near.address], planet.hosts[1].name: [far.address],
            ])
            #expect(try await MeshPlanet.reaches(from: near.path, to: far.address))
            let target = "\(far.address)"
            #expect(try await MeshPlanet.ping(from: near.path, ["-M", "do", "-s", "1372"], to: target))
            #expect(try await !MeshPlanet.ping(from: near.path, ["-M", "do", "-s", "1373"], to: target))
            // A bigger one is cut up by its sender and arrives.
            #expect(try await MeshPlanet.ping(from: near.path, ["-s", "4000"], to: target))
        }
    }

    @Test func closedPortIsResetForHostsOnly() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let home = planet.hosts[0]
            let machine = try await planet.attach("00000000000a03", network: 7, on: home)
            let sibling = try await planet.attach("00000000000b03", network: 7, on: planet.hosts[1])
            try await planet.connect(machines: [
                home.name: [machine.address], planet.hosts[1].name: [sibling.address],
            ])
            #expect(try await MeshPlanet.reaches(from: sibling.path, to: machine.address))
            try await NamespaceListener.with(machine.path, port: 5432) {
                let before = BootClock.now()
                try await home.mesh.setClosedPorts([ClosedPort(address: machine.address, port: 5432)])
                print("port closed in \((BootClock.now() - before).milliseconds) ms")
                for host in planet.hosts {
                    let attempt = try await NamespaceTCP.attempt(
                        from: host.networkPath, to: machine.address, port: 5432)
                    #expect(attempt == .refused, "\(host.name)")
                }
                let within = try await NamespaceTCP.attempt(from: sibling.path, to: machine.address, port: 5432)
                #expect(within == .connected)
                try await home.mesh.setClosedPorts([])
                for host in planet.hosts {
                    let attempt = try await NamespaceTCP.attempt(
                        from: host.networkPath, to: machine.address, port: 5432)
                    #expect(attempt == .connected, "\(host.name)")
                }
            }
        }
    }

    @Test func machineKeepsItsAddressWhenItMoves() async throws {
        try await MeshPlanet.with(hosts: 3) { planet in
            let other = try await planet.attach("00000000000c04", network: 7, on: planet.hosts[2])
            let before = try await planet.attach("00000000000a04", network: 7, on: planet.hosts[0])
            try await planet.connect(machines: [
                planet.hosts[0].name: [before.address], planet.hosts[2].name: [other.address],
            ])
            #expect(try await MeshPlanet.reaches(from: other.path, to: before.address))
            try await planet.hosts[0].mesh.detach(before.link.machine)
            #expect(try await planet.hosts[0].mesh.attached() == [])
            let after = try await planet.attach("00000000000a04", network: 7, on: planet.hosts[1])
            #expect(after.address == before.address)
            try await planet.connect(machines: [
                planet.hosts[1].name: [after.address], planet.hosts[2].name: [other.address],
            ])
            #expect(try await MeshPlanet.reaches(from: other.path, to: after.address))
            // The host it left reaches it too: its own route is gone.
            #expect(try await MeshPlanet.reaches(from: planet.hosts[0].networkPath, to: after.address))
        }
    }

    @Test func halfDoneLinksAreRepaired() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let before = BootClock.now()
            let machine = try await planet.attach("00000000000a05", network: 7, on: host)
            print("machine attached in \((BootClock.now() - before).milliseconds) ms")
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            // The link is lost.
            try await planet.run(host.namespace, "ip", "link", "del", "dev", "m00000000000a05")
            #expect(try await host.mesh.attachedPath(machine.link) == machine.path)
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            // The address is lost.
            try await Command(
                "nsenter",
                ["--net=" + machine.path, "--", "ip", "addr", "del", "\(machine.address)/128", "dev", "eth0"]
            ).run()
            #expect(try await !MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            #expect(try await host.mesh.attachedPath(machine.link) == machine.path)
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            // The namespace is lost, its link in the host is not yet.
            try await Command("umount", [machine.path]).run()
            #expect(try await host.mesh.attached() == [])
            #expect(try await host.mesh.attachedPath(machine.link) == machine.path)
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            #expect(try await host.mesh.attached() == [machine.link.machine])
            try await host.mesh.detach(machine.link.machine)
            try await host.mesh.detach(machine.link.machine)
            #expect(try await host.mesh.attached() == [])
            let rules = try await planet.run(host.namespace, "nft", "list", "table", "inet", "roost")
            #expect(!rules.contains("00000000000a05"))
            #expect(!FileManager.default.fileExists(atPath: machine.path))
        }
    }
}
