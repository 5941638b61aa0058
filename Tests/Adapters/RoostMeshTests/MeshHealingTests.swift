import Foundation
import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostMesh

/// Somebody else changes the host's rules.
@Suite(.serialized, .timeLimit(.minutes(5))) struct MeshHealingTests {
    /// From the change to the end of the second look, with time for a busy computer.
    private static let bound = WireGuardMesh.ruleInterval * 2 + .seconds(2)

    private static func whileRunning(_ host: MeshPlanet.Host, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { try await host.mesh.run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// The table without what counts.
    private static func table(of host: MeshPlanet.Host, in planet: MeshPlanet) async throws -> String {
        let text = try await planet.run(host.namespace, "nft", "-s", "list", "ruleset")
        // In any order: that of a set's elements is the kernel's affair.
        return text.split { " ,\n\t".contains($0) }.sorted().joined(separator: " ")
    }

    @Test func flushedRulesAreBackSoon() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a31", network: 7, on: host)
            let sibling = try await planet.attach("00000000000a32", network: 7, on: host)
            let stranger = try await planet.attach("00000000000a33", network: 8, on: host)
            try await host.mesh.setClosedPorts([ClosedPort(address: sibling.address, port: 5432)])
            try await Self.whileRunning(host) {
                let before = try await Self.table(of: host, in: planet)
                for _ in 0..<3 {
                    let began = BootClock.now()
                    try await planet.run(host.namespace, "nft", "flush", "ruleset")
                    let isBack = try await poll(for: Self.bound, every: .milliseconds(5)) {
                        try await Self.table(of: host, in: planet) == before ? true : nil
                    }
                    #expect(isBack == true)
                    print("rules are back after \((BootClock.now() - began).milliseconds) ms")
                    #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(stranger.address)"))
                    #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(sibling.address)"))
                    let closed = try await NamespaceTCP.attempt(
                        from: host.networkPath, to: sibling.address, port: 5432)
                    #expect(closed == .refused)
                }
            }
        }
    }

    /// Less than everything, and each of it enough to open something or to cut somebody off.
    @Test(arguments: [
        "flush chain inet roost forward", "delete table inet roost", "add table inet roost { flags dormant; }",
        "insert rule inet roost input accept", "flush set inet roost closed",
        #"delete element inet roost links { "m00000000000a34" . fe80::2 }"#,
        #"add element inet roost networks { "m00000000000a34" . fdaa:0:8::/48 }"#,
    ])
    func anyChangeIsUndone(change: String) async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a34", network: 7, on: host)
            try await host.mesh.setClosedPorts([ClosedPort(address: machine.address, port: 5432)])
            try await Self.whileRunning(host) {
                let before = try await Self.table(of: host, in: planet)
                try await planet.run(host.namespace, "nft", change)
                let isBack = try await poll(for: Self.bound, every: .milliseconds(20)) {
                    try await Self.table(of: host, in: planet) == before ? true : nil
                }
                #expect(isBack == true, "\(change)")
            }
        }
    }

    /// Other people's tables are theirs, and their changes are no reason to load ours again: its counts go on.
    @Test func othersRulesAreLeftAlone() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a35", network: 7, on: host)
            try await Self.whileRunning(host) {
                #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(host.address)"))
                let counted = try await planet.counter("foreign", on: host)
                #expect(counted > 0)
                for number in 0..<5 { try await planet.run(host.namespace, "nft", "add table inet other\(number)") }
                // What comes after it has been looked at too.
                _ = try await planet.attach("00000000000a36", network: 7, on: host)
                try await planet.run(host.namespace, "nft", "flush set inet roost closed")
                #expect(try await planet.counter("foreign", on: host) >= counted)
                let listed = try await planet.run(host.namespace, "nft", "list", "tables")
                #expect(listed.contains("other4"))
            }
        }
    }

    /// What a machine does while the rules are gone: it has no way to another network, nor to the Internet.
    @Test func machinesAreApartWithoutRulesToo() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a37", network: 7, on: host, hasWayOut: false)
            let sibling = try await planet.attach("00000000000a38", network: 7, on: host, hasWayOut: false)
            let stranger = try await planet.attach("00000000000a39", network: 8, on: host, hasWayOut: false)
            try await planet.run(planet.internet, "ip", "-6", "route", "add", "fdaa::/16", "via", "2001:db8::1")
            try await planet.run(host.namespace, "nft", "flush", "ruleset")
            #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(sibling.address)"))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(stranger.address)"))
            #expect(try await !MeshPlanet.ping(from: stranger.path, [], to: "\(machine.address)"))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: MeshPlanet.internetAddress6))
        }
    }

    /// The rules went while nobody was there to see it; machines ran on.
    @Test func runningMachinesAreAdmittedByTheNextProcess() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a3a", network: 7, on: host)
            let sibling = try await planet.attach("00000000000a3b", network: 7, on: host)
            let stranger = try await planet.attach("00000000000a3c", network: 8, on: host)
            try await planet.run(host.namespace, "nft", "flush", "ruleset")
            let successor = WireGuardMesh(configuration: host.configuration)
            _ = try await successor.start()
            #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(sibling.address)"))
            #expect(try await !MeshPlanet.ping(from: machine.path, [], to: "\(stranger.address)"))
            // And with the rules still there: the ports that were closed stay so until somebody says otherwise.
            try await successor.setClosedPorts([ClosedPort(address: sibling.address, port: 5432)])
            let next = WireGuardMesh(configuration: host.configuration)
            _ = try await next.start()
            let closed = try await NamespaceTCP.attempt(from: host.networkPath, to: sibling.address, port: 5432)
            #expect(closed == .refused)
            try await next.setClosedPorts([])
            try await next.detach(stranger.link.machine)
            let rules = try await planet.run(host.namespace, "nft", "list", "table", "inet", "roost")
            #expect(!rules.contains("00000000000a3c"))
            #expect(!rules.contains("5432"))
        }
    }

    @Test func closingAndAttachingMakeLostRulesAnew() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let machine = try await planet.attach("00000000000a3d", network: 7, on: host)
            let before = try await Self.table(of: host, in: planet)
            // Nobody watches here: what is done next must not take for granted what was there.
            for lost in ["flush ruleset", "delete table inet roost"] {
                try await planet.run(host.namespace, "nft", lost)
                try await host.mesh.setClosedPorts([ClosedPort(address: machine.address, port: 5432)])
                try await host.mesh.setClosedPorts([])
                #expect(try await Self.table(of: host, in: planet) == before)
                try await planet.run(host.namespace, "nft", lost)
                let other = try await planet.attach("00000000000a3e", network: 7, on: host)
                #expect(try await MeshPlanet.ping(from: machine.path, [], to: "\(other.address)"))
                try await planet.run(host.namespace, "nft", lost)
                try await host.mesh.detach(other.link.machine)
                #expect(try await Self.table(of: host, in: planet) == before)
            }
        }
    }
}
