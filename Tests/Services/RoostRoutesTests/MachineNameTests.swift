import Foundation
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Synchronization
import Testing

/// One name in one app, whoever asks wherever.
@Suite struct MachineNameTests {
    private static func wish(_ region: String, name: String = "web") -> String {
        #"{"name":"\#(name)","region":"\#(region)","config":{"image":"redis:7"}}"#
    }

    private let key = "/roost/machine-names/shop/web"

    private func put(_ record: MachineNameRecord, in store: any Store) async throws {
        let value = Array(try JSONEncoder().encode(record))
        _ = try await store.commit(Transaction(then: [.put(key: key, value: value, lease: nil)]))
    }

    private func holder(in store: any Store) async throws -> MachineNameRecord? {
        let entry = try await store.read(.key(key), at: nil).entries.first
        return try entry.map { try JSONDecoder().decode(MachineNameRecord.self, from: Data($0.value)) }
    }

    @Test("Of many creations of one name at once, through all hosts and for all regions, one wins")
    func race() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"]) { planet in
            _ = try await planet["ams1"].call("POST /v1/apps", #"{"name":"shop"}"#)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for host in planet.hosts.values {
                    for region in ["ams", "iad", "sin"] {
                        group.addTask {
                            try await host.call("POST /v1/apps/shop/machines", Self.wish(region)).status
                        }
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.sorted() == [200] + Array(repeating: 422, count: 8))
            let made = planet.hosts.values.map { $0.runtime.machines.withLock { $0.count } }.reduce(0, +)
            #expect(made <= 1)
            // Names of the platform's own are nobody's business.
            for _ in 0..<2 {
                let other = try await planet["ams1"].call(
                    "POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"}}"#)
                #expect(other.status == 200)
            }
        }
    }

    @Test("A name whose record cannot be read keeps no other destroyed machine's")
    func unreadableNames() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let names = (0..<6).map { "web\($0)" }
            var machines: [String] = []
            for name in names {
                let made = try await host.call("POST /v1/apps/shop/machines", Self.wish("ams", name: name))
                #expect(made.status == 200, "\(made.text)")
                machines.append(made.string("id"))
            }
            // The host goes over them in no order of its own.
            let folder = "/roost/machine-names/shop/"
            _ = try await planet.store.commit(
                Transaction(then: names.prefix(3).map { .put(key: folder + $0, value: Array("[]".utf8), lease: nil) }))
            for machine in machines {
                #expect(try await host.call("DELETE /v1/apps/shop/machines/\(machine)?force=true").status == 200)
            }
            let isFree = try await poll(for: .seconds(10)) {
                let left = try await planet.store.read(.prefix(folder), at: nil).entries.map(\.key)
                return left.sorted() == names.prefix(3).map { folder + $0 } ? true : nil
            }
            #expect(isFree == true)
        }
    }

    @Test("A destroyed machine gives its name up")
    func release() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await host.call("POST /v1/apps/shop/machines", Self.wish("iad"))
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await holder(in: planet.store)?.machine.text == made.string("id"))
            #expect(try await holder(in: planet.store)?.host.text == "iad1")
            #expect(try await host.call("DELETE \(machine)?force=true").status == 200)
            let isFree = try await poll(for: .seconds(10)) { try await holder(in: planet.store) == nil ? true : nil }
            #expect(isFree == true)
            #expect(try await host.call("POST /v1/apps/shop/machines", Self.wish("ams")).status == 200)
        }
    }

    @Test(
        "A reservation whose machine never came goes to whoever wants the name, and the late order is refused",
        arguments: [-61_000, 3_600_000] as [Int64])
    func cutOff(sinceNow: Int64) async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, owner) = (try planet["ams1"], try planet["iad1"])
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let lost = try MachineID("0123456789abcd")
            let now = WallClock.milliseconds()
            // Young: the creation may still be under way.
            try await put(MachineNameRecord(machine: lost, host: owner.name, reservedAt: now), in: planet.store)
            #expect(try await near.call("POST /v1/apps/shop/machines", Self.wish("ams")).status == 422)
            try await put(
                MachineNameRecord(machine: lost, host: owner.name, reservedAt: now + sinceNow), in: planet.store)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.wish("ams"))
            #expect(made.status == 200, "\(made.text)")
            #expect(try await holder(in: planet.store)?.machine.text == made.string("id"))
            let late = MachineOrder(
                id: lost, name: "web", app: try AppName("shop"), network: NetworkNumber(1),
                config: MachineConfig(image: "redis:7"), owner: nil, startsAtOnce: true)
            let refusal = await #expect(throws: Refusal.self) { try await owner.agent.createMachine(late) }
            #expect(refusal?.code == .failedPrecondition)
        }
    }

    @Test("A creation that was so slow that another got its name is told so, by the name")
    func slow() async throws {
        try await PlanetUnderTest.run(["ams1"]) { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            host.runtime.heldImage.withLock { $0 = "slow:1" }
            async let slow = host.call(
                "POST /v1/apps/shop/machines", #"{"name":"web","config":{"image":"slow:1"}}"#)
            var reserved = try #require(
                try await poll(for: .seconds(10), every: .milliseconds(5)) { try await holder(in: planet.store) })
            reserved.reservedAt -= 61_000
            try await put(reserved, in: planet.store)
            let made = try await host.call("POST /v1/apps/shop/machines", Self.wish("ams"))
            #expect(made.status == 200, "\(made.text)")
            host.runtime.heldImage.withLock { $0 = nil }
            let late = try await slow
            #expect(late.status == 422)
            #expect(late.string("status") == "name_taken")
            #expect(late.text.contains("named web") && !late.text.contains(reserved.machine.text))
            // It gave up nothing that is not its own.
            #expect(try await holder(in: planet.store)?.machine.text == made.string("id"))
        }
    }

    @Test("A store that went back gives nobody the name of a machine that there is")
    func storeThatWentBack() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, owner) = (try planet["ams1"], try planet["iad1"])
            let shop = try AppName("shop")
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.wish("iad"))
            let machine = try MachineID(made.string("id"))
            let isHeard = try await poll(for: .seconds(10)) {
                [near, owner].allSatisfy { $0.watcher.planet.machines(named: "web", of: shop) == [machine: owner.name] }
                    ? true : nil
            }
            #expect(isHeard == true)
            // The copy is from before it was made, or from when another machine had the name.
            for former in [
                nil, MachineNameRecord(machine: try MachineID("0123456789abcd"), host: near.name, reservedAt: 0),
            ] {
                _ = try await planet.store.commit(Transaction(then: [.delete(.key(key))]))
                if let former { try await put(former, in: planet.store) }
                for (host, region) in [(near, "ams"), (owner, "ams"), (near, "iad")] {
                    let second = try await host.call("POST /v1/apps/shop/machines", Self.wish(region))
                    #expect(second.status == 422 && second.text.contains(machine.text), "\(second.text)")
                }
            }
            let other = try await near.call("POST /v1/apps/shop/machines", Self.wish("ams", name: "db"))
            #expect(other.status == 200, "\(other.text)")
            // When it is gone the name is free, whether or not that was heard already.
            #expect(try await near.call("DELETE /v1/apps/shop/machines/\(machine)?force=true").status == 200)
            let isFree = try await poll(for: .seconds(10)) {
                try await near.call("POST /v1/apps/shop/machines", Self.wish("ams")).status == 200 ? true : nil
            }
            #expect(isFree == true)
        }
    }

    @Test("A reservation of a time that no clock has said is long over")
    func timeOfNoClock() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, owner) = (try planet["ams1"], try planet["iad1"])
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let lost = try MachineID("0123456789abcd")
            try await put(MachineNameRecord(machine: lost, host: owner.name, reservedAt: .min), in: planet.store)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.wish("ams"))
            #expect(made.status == 200, "\(made.text)")
        }
    }

    @Test("A host that does not answer keeps its machine's name, and a creation that fails keeps none")
    func silence() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let gone = try HostName("sin9")
            try await put(
                MachineNameRecord(machine: try MachineID("0123456789abcd"), host: gone, reservedAt: 0),
                in: planet.store)
            let taken = try await host.call("POST /v1/apps/shop/machines", Self.wish("ams"))
            #expect(taken.status == 422)
            #expect(taken.string("status") == "name_taken")
            #expect(taken.text.contains("sin9"))
            _ = try await planet.store.commit(Transaction(then: [.delete(.key(key))]))
            let large = #"{"name":"web","config":{"image":"redis:7","guest":{"memory_mb":65536}}}"#
            #expect(
                try await host.call("POST /v1/apps/shop/machines", large).string("status") == "insufficient_capacity")
            #expect(try await holder(in: planet.store) == nil)
            #expect(try await host.call("POST /v1/apps/shop/machines", Self.wish("ams")).status == 200)
            #expect(try await host.call("DELETE /v1/apps/shop").status == 412)
        }
    }
}
