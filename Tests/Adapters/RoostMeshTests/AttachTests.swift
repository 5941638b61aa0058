import Foundation
import RoostLinux
import RoostModel
import Testing

@testable import RoostMesh

/// Many machines: each is linked by itself, and all at once.
@Suite(.serialized, .timeLimit(.minutes(5))) struct AttachTests {
    private static let count = 50

    private static func links(_ first: Int) throws -> [MachineLink] {
        try (0..<count).map { number in
            let digits = String(first + number, radix: 16)
            let id = try MachineID(String(repeating: "0", count: 14 - digits.count) + digits)
            let network = NetworkNumber(7)
            return MachineLink(machine: id, network: network, address: MeshAddress.machine(id, in: network))
        }
    }

    @Test func fiftyOneByOneAndFiftyAtOnce() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            var times: [Duration] = []
            let alone = try Self.links(0xa5000)
            for link in alone {
                let before = BootClock.now()
                try await host.mesh.attach(link)
                times.append(BootClock.now() - before)
            }
            let began = BootClock.now()
            let together = try Self.links(0xa6000)
            let atOnce = try await withThrowingTaskGroup(of: Duration.self) { group in
                for link in together {
                    group.addTask {
                        try await host.mesh.attach(link)
                        return BootClock.now() - began
                    }
                }
                return try await group.reduce(into: [Duration]()) { $0.append($1) }
            }
            print("attached one by one: \(Self.spread(times)); at once: \(Self.spread(atOnce))")
            #expect(try await Set(host.mesh.attached()) == Set((alone + together).map(\.machine)))
            // All of them answer, under their own addresses.
            for link in [alone[0], alone[49], together[0], together[49]] {
                #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(link.address)"))
            }
            try await withThrowingTaskGroup { group in
                for link in alone + together { group.addTask { try await host.mesh.detach(link.machine) } }
                try await group.waitForAll()
            }
            #expect(try await host.mesh.attached() == [])
            let rules = try await planet.run(host.namespace, "nft", "list", "table", "inet", "roost")
            #expect(!rules.contains("0a50"))
        }
    }

    /// Orders for one machine do not overlap, whoever gives them.
    @Test func ordersForOneMachineTakeTurns() async throws {
        try await MeshPlanet.with(hosts: 1) { planet in
            let host = planet.hosts[0]
            let link = try Self.links(0xa7000)[0]
            try await withThrowingTaskGroup { group in
                for round in 0..<12 {
                    group.addTask {
                        if round.isMultiple(of: 3) {
                            try await host.mesh.detach(link.machine)
                        } else {
                            try await host.mesh.attach(link)
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await host.mesh.attach(link)
            #expect(try await MeshPlanet.ping(from: host.networkPath, [], to: "\(link.address)"))
        }
    }

    private static func spread(_ times: [Duration]) -> String {
        let sorted = times.sorted()
        func text(_ time: Duration?) -> String { "\(((time ?? .zero).secondsAsDouble * 10_000).rounded() / 10) ms" }
        return "p50 \(text(sorted[sorted.count / 2])), p95 \(text(sorted[sorted.count * 95 / 100])), "
            + "max \(text(sorted.last))"
    }
}
