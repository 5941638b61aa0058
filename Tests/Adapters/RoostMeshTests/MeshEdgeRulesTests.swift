import Foundation
import Glibc
import RoostMesh
import RoostModel
import Testing

@testable import RoostLinux

/// What a host does for others than its machines.
@Suite(.serialized, .timeLimit(.minutes(5))) struct MeshEdgeRulesTests {
    /// A second neighbour of the host, who would like to use it as a router.
    private static func withSecondNeighbour(
        _ planet: MeshPlanet, _ body: (String) async throws -> Void
    ) async throws {
        let host = planet.hosts[0]
        let name = planet.internet + "x"
        try await Command("ip", ["netns", "add", name]).run()
        do {
            try await planet.run(
                host.namespace, "ip", "link", "add", "name", "eth1", "type", "veth", "peer", "name", "eth0", "netns",
                name)
            try await planet.run(host.namespace, "ip", "addr", "add", "2001:db8:1::1/64", "dev", "eth1", "nodad")
            try await planet.run(host.namespace, "ip", "link", "set", "dev", "eth1", "up")
            try await planet.run(name, "ip", "addr", "add", "2001:db8:1::2/64", "dev", "eth0", "nodad")
            try await planet.run(name, "ip", "link", "set", "dev", "eth0", "up")
            try await planet.run(name, "ip", "-6", "route", "add", "default", "via", "2001:db8:1::1")
            try await planet.run(
                planet.internet, "ip", "-6", "route", "add", "2001:db8:1::/64", "via", "2001:db8::1")
            let isUp = try await poll(for: .seconds(5)) {
                try await MeshPlanet.ping(from: "/run/netns/" + name, [], to: "2001:db8:1::1") ? true : nil
            }
            #expect(isUp == true)
            try await body("/run/netns/" + name)
        } catch {
            _ = try? await Command("ip", ["netns", "del", name]).run()
            throw error
        }
        _ = try? await Command("ip", ["netns", "del", name]).run()
    }

    @Test func hostBecomesNobodysRouter() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a41", network: 7, on: host)
            try await Self.withSecondNeighbour(planet) { neighbour in
                #expect(try await !MeshPlanet.ping(from: neighbour, [], to: MeshPlanet.internetAddress6))
                // A host that is a router already is left one.
                let file = host.configuration.runDirectory + "/forwarded-before"
                try FileManager.default.removeItem(atPath: file)
                _ = try await WireGuardMesh(configuration: host.configuration).start()
                let isRouter = try await poll(for: .seconds(10)) {
                    try await MeshPlanet.ping(from: neighbour, [], to: MeshPlanet.internetAddress6) ? true : nil
                }
                #expect(isRouter == true)
                #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(machine.address)"))
            }
        }
    }

    @Test func anycastAddressesServeTheirPortsOnly() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            var configuration = host.configuration
            configuration.anycast = AnycastAddresses(prefixes: [try IPv4Prefix("203.0.113.0/24")], ports: [5432, 5433])
            _ = try await WireGuardMesh(configuration: configuration).start()
            try await planet.run(host.namespace, "ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
            try await planet.run(planet.internet, "ip", "route", "add", "203.0.113.0/24", "via", host.underlay)
            func mapped(_ text: String) throws -> IPv6Address {
                IPv6Address(high: 0, low: 0xffff << 32 | UInt64(try IPv4Address(text).bits))
            }
            let internet = "/run/netns/" + planet.internet
            for (port, isServed) in [(UInt16(5432), true), (5433, true), (4280, false), (22, false)] {
                try await NamespaceListener.with(host.networkPath, port: port) {
                    for address in ["203.0.113.7", "203.0.113.250"] {
                        let attempt = try await NamespaceTCP.attempt(
                            from: internet, to: try mapped(address), port: port)
                        #expect(attempt == (isServed ? .connected : .silence), "\(address):\(port)")
                    }
                    // The host's own address is its own affair, and so is what it says to itself.
                    let own = try await NamespaceTCP.attempt(from: internet, to: try mapped(host.underlay), port: port)
                    #expect(own == .connected)
                    let itself = try await NamespaceTCP.attempt(
                        from: host.networkPath, to: try mapped("203.0.113.7"), port: port)
                    #expect(itself == .connected)
                }
            }
            #expect(try await MeshPlanet.ping(from: internet, [], to: "203.0.113.7"))
            #expect(try await planet.counter("unserved", on: host) > 0)
        }
    }

    /// A packet that looks like an answer and is none does not come to where services listen.
    @Test func answersGoToClientsOnly() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a42", network: 7, on: host)
            #expect(try await MeshPlanet.reaches(from: host.networkPath, to: machine.address))
            func dropped() async throws -> Int { try await planet.counter("foreign", on: host) }
            let before = try await dropped()
            // The first comes through; each of the others is counted.
            try await RawTCP.acknowledge(from: machine.path, to: host.address, port: 40_000)
            for (count, port) in [UInt16(2379), 4280, 22].enumerated() {
                try await RawTCP.acknowledge(from: machine.path, to: host.address, port: port)
                let now = try await poll(for: .seconds(5), every: .milliseconds(10)) { () -> Int? in
                    let now = try await dropped()
                    return now > before + count ? now : nil
                }
                #expect(now == before + count + 1, "port \(port)")
            }
        }
    }
}

/// Packets that no connection would send.
enum RawTCP {
    /// A lone acknowledgement.
    static func acknowledge(from path: String, to address: IPv6Address, port: UInt16) async throws {
        try await BlockingCall.run { () throws(SystemError) in
            try NetworkNamespace.enter(path)
            let opened = socket(AF_INET6, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_TCP))
            guard opened >= 0 else { throw SystemError("open", "raw socket") }
            defer { close(opened) }
            // Where the checksum stands, for the kernel to fill in (RFC 3542, 3.1); IPV6_CHECKSUM is 7.
            var offset: Int32 = 16
            setsockopt(opened, Int32(IPPROTO_IPV6), 7, &offset, 4)
            var header: [UInt8] = [0xc3, 0x50, UInt8(port >> 8), UInt8(port & 0xff)]
            header += [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]
            var target = sockaddr_in6()
            target.sin6_family = sa_family_t(AF_INET6)
            let bytes = address.networkBytes
            withUnsafeMutableBytes(of: &target.sin6_addr) { $0.copyBytes(from: bytes) }
            let sent = withUnsafePointer(to: &target) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(opened, header, header.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
            guard sent == header.count else { throw SystemError("send to", "\(address)") }
        }
    }
}
