import Foundation
import Logging
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Operations on clusters: begun with the work, and ended by whoever has the duty, whoever dies meanwhile.
@Suite("Operations") struct OperationTests {
    private static let callsMax = 96

    private func operations(_ world: ClusterWorld) async throws -> [OperationRecord.Kind: OperationRecord] {
        let all = try await world.look().operations.values
        return Dictionary(all.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Looks with operations, until nothing is left to do.
    private func settle(_ world: ClusterWorld, under fence: Transaction.Compare) async throws {
        for _ in 0..<20 {
            let isDone = try await world.round(under: fence)
            try await world.keepOperations(under: fence)
            if isDone { return }
        }
        Issue.record("the cluster does not settle")
    }

    @Test(
        "Cut off at any call, by hosts that die one after the other, each operation ends, and as it was",
        arguments: 1...callsMax)
    func cutAnywhere(call: Int) async throws {
        for cut in [Cuts.Cut.before(call), .after(call)] {
            let world = try await ClusterWorld(cut: cut)
            defer { world.remove() }
            try await world.create()
            var fence = try await world.takeDuty()
            _ = try await world.round(under: fence)
            try await world.keepOperations(under: fence)
            fence = try await world.takeDuty()
            try await settle(world, under: fence)
            // Its machines are there, but nobody can write to it yet.
            var present = try await operations(world)
            #expect(present[.createCluster]?.state == .running && present.count == 1)
            try await world.becomeReady()
            try await world.keepOperations(under: fence)
            try await world.keepOperations(under: try await world.takeDuty())
            present = try await operations(world)
            #expect(present[.createCluster]?.state == .succeeded)
            #expect(present[.createCluster]?.endedAt != nil)

            try await world.directory.destroy(world.cluster)
            fence = try await world.takeDuty()
            _ = try await world.round(under: fence)
            try await world.keepOperations(under: fence)
            present = try await operations(world)
            if present[.destroyCluster]?.state == .succeeded {
                #expect(try await world.look().clusters[world.cluster] == nil)
            }
            fence = try await world.takeDuty()
            try await settle(world, under: fence)
            try await world.keepOperations(under: fence)
            try await world.keepOperations(under: fence)
            present = try await operations(world)
            #expect(present[.destroyCluster]?.state == .succeeded)
            #expect(present[.createCluster]?.state == .succeeded && present.count == 2)
            #expect(try await world.look().clusters[world.cluster] == nil)
        }
    }

    @Test("What was done is noted, in a life without cuts all of it, and fewer calls than are cut off elsewhere")
    func steps() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        try await world.keepOperations(under: fence)
        try await world.directory.destroy(world.cluster)
        try await settle(world, under: fence)
        try await world.keepOperations(under: fence)
        let present = try await operations(world)
        let made = present[.createCluster]?.steps.map(\.name) ?? []
        #expect(made.filter { $0.hasPrefix("placed db-") }.count == 3)
        #expect(made.filter { $0.hasPrefix("made db-") }.count == 3)
        #expect(
            made.suffix(4) == [
                "db-1 initialised the cluster", "db-2 has a copy and follows", "db-3 has a copy and follows",
                "db-1 lets clients in",
            ])
        #expect(present[.createCluster]?.result == "ready at 203.0.113.1, db-1 leads")
        let removed = present[.destroyCluster]?.steps.map(\.name) ?? []
        #expect(removed.filter { $0.hasPrefix("removed db-") }.count == 3)
        #expect(world.cuts.calls <= Self.callsMax)
    }

    @Test(
        "A cluster that is destroyed before it is ready ends its creation as failed, also when the name is taken again")
    func destroyedEarly() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let (first, second) = (OperationDirectory.makeID(), OperationDirectory.makeID())
        try await world.create(operation: first)
        #expect(try await world.directory.destroy(world.cluster))
        #expect(try await world.directory.destroy(world.cluster) == false)
        #expect(try await world.settle(under: fence))
        // Nobody looked after operations while the name was free.
        try await world.create(operation: second)
        try await world.keepOperations(under: fence)
        let present = try await world.look().operations
        #expect(present[first]?.state == .failed)
        #expect(present[second]?.state == .running)
        #expect(present.values.first { $0.kind == .destroyCluster }?.state == .succeeded)
        #expect(present.count == 3)
    }

    @Test("A host that lost the duty ends nothing and notes nothing")
    func fenced() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let old = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: old)
        let steps = try await operations(world)[.createCluster]?.steps
        try await world.becomeReady()
        let new = try await world.takeDuty()
        try await world.keepOperations(under: old)
        let id = try #require(try await operations(world)[.createCluster]?.id)
        try await world.operations.note(["late"], obstacle: "late", on: id, under: old)
        let present = try await operations(world)[.createCluster]
        #expect(present?.state == .running && present?.steps == steps && present?.obstacle == nil)
        try await world.keepOperations(under: new)
        let last = try #require(try await operations(world)[.createCluster])
        #expect(last.state == .succeeded && last.steps.count == (steps?.count ?? 0) + 4)
        // What has ended stays as it ended.
        try await world.operations.note(["late"], obstacle: "late", on: id, under: new)
        try await world.operations.end(id, .failed("late"), under: new)
        let ended = try await operations(world)[.createCluster]
        #expect(ended?.state == .succeeded && ended?.obstacle == nil && ended?.steps == last.steps)
    }

    @Test("An operation whose record cannot be read any more holds up no other")
    func unreadable() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        var planet = try await world.look()
        let creation = try #require(planet.operations.values.first)
        // An older one, as this host saw it before a newer version wrote it anew.
        var older = creation
        older.id = try PlanetOperationID(String(repeating: "0", count: 26))
        _ = planet.apply(
            .changes([.put(try entry(StoreKeys.operation(older.id), older))], revision: Revision(planet.revision + 1)))
        _ = try await world.store.commit(
            Transaction(then: [.put(key: StoreKeys.operation(older.id), value: Array("[]".utf8), lease: nil)]))
        #expect(planet.operations.count == 2 && planet.isAbreast(of: older.id))
        await OperationKeeper.look(
            at: planet, running: [older.id, creation.id], operations: world.operations, judges: [ClusterOperations()],
            under: fence, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        #expect(try await world.operations.find(creation.id)?.state == .succeeded)
    }

    @Test("What members do is noted as it is seen, each step once, and who notes beside takes nothing away")
    func seen() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        let before = try await operations(world)[.createCluster]?.steps.count ?? 0
        try await world.becomeReady()
        // One member has not said anything yet.
        let late = StoreKeys.report(world.cluster, try MemberName("db-3"))
        let report = try #require(try await world.store.read(.key(late), at: nil).entries.first)
        _ = try await world.store.commit(Transaction(then: [.delete(.key(late))]))
        for _ in 0..<3 { try await world.keepOperations(under: fence) }
        var present = try #require(try await operations(world)[.createCluster])
        #expect(present.state == .running)
        #expect(
            present.steps.dropFirst(before).map(\.name) == [
                "db-1 initialised the cluster", "db-2 has a copy and follows", "db-1 lets clients in",
            ])
        let id = present.id
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
                group.addTask {
                    try await world.operations.note(["by hand \(number)"], obstacle: nil, on: id, under: fence)
                }
            }
            try await group.waitForAll()
        }
        _ = try await world.store.commit(Transaction(then: [.put(key: late, value: report.value, lease: nil)]))
        try await world.keepOperations(under: fence)
        present = try #require(try await operations(world)[.createCluster])
        #expect(present.state == .succeeded)
        #expect(Set(present.steps.map(\.name)).isSuperset(of: (0..<6).map { "by hand \($0)" }))
        #expect(present.steps.last?.name == "db-3 has a copy and follows")
    }

    @Test("A cluster is ready when its members were heard to say so, not when the store says that they once were")
    func readyWhenHeard() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let planet = try await world.look()
        let operation = try #require(planet.operations.values.first { $0.kind == .createCluster })
        let (name, standby) = (world.cluster, try MemberName("db-2"))
        func verdict(_ silence: ClusterSilence?) -> OperationVerdict? {
            let judge = ClusterOperations { name, planet in
                silence.flatMap { silence in planet.clusters[name].map { ($0, silence) } }
            }
            return judge.verdict(on: operation, in: planet)
        }
        #expect(verdict(ClusterSilence())?.state == .succeeded)
        for silence in [
            nil, ClusterSilence(isLeaderUnheard: true), ClusterSilence(leader: .seconds(60)),
            ClusterSilence(unheard: [standby]), ClusterSilence(members: [standby: .seconds(60)]),
        ] {
            #expect(verdict(silence) == nil, "\(String(describing: silence))")
        }
        // What is heard of another cluster of the name is not of this one.
        var anew = planet
        var spec = try #require(planet.clusters[name]?.spec)
        spec.createdAt += 1
        _ = anew.apply(
            .changes([.put(try entry(StoreKeys.clusterSpec(name), spec))], revision: Revision(planet.revision + 1)))
        let records = try #require(anew.clusters[name])
        let other = ClusterOperations { _, _ in (records, ClusterSilence()) }
        #expect(other.verdict(on: operation, in: planet) == nil)
    }

    private func elect(_ name: String, _ rule: inout ClusterRule) throws {
        rule.epoch = rule.epoch.next
        rule.leader = try MemberName(name)
        rule.switchover = nil
    }

    private func lead(_ name: String, _ rule: inout ClusterRule, _ heartbeat: inout Heartbeat) throws {
        try elect(name, &rule)
        heartbeat = Heartbeat(epoch: rule.epoch, leader: rule.leader, sequence: 1, isOpen: true)
    }

    @Test("A switchover has succeeded when the wanted member lets clients in, and failed when it is certain not to")
    func switchover() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let target = try MemberName("db-2")
        let id = try await world.directory.requestSwitchover(of: world.cluster, to: target)
        let began = try await world.look()
        let operation = try #require(began.operations[id])
        func planet(_ change: (inout ClusterRule, inout Heartbeat) throws -> Void) throws -> Planet {
            let records = try #require(began.clusters[world.cluster])
            var (rule, heartbeat) = (try #require(records.rule), try #require(records.heartbeat))
            try change(&rule, &heartbeat)
            var planet = began
            _ = planet.apply(
                .changes(
                    [
                        .put(try entry(StoreKeys.clusterRule(world.cluster), rule)),
                        .put(try entry(StoreKeys.clusterHeartbeat(world.cluster), heartbeat)),
                    ], revision: Revision(began.revision + 1)))
            return planet
        }
        func verdict(_ change: (inout ClusterRule, inout Heartbeat) throws -> Void) throws -> OperationVerdict? {
            ClusterOperations().verdict(on: operation, in: try planet(change))
        }
        func steps(_ change: (inout ClusterRule, inout Heartbeat) throws -> Void) throws -> [String] {
            ClusterOperations().steps(of: operation, in: try planet(change))
        }
        #expect(try verdict { _, _ in } == nil)
        #expect(
            try verdict { rule, _ in rule.switchover?.refusal = "too far behind" } == .failed("too far behind"))
        #expect(try verdict { rule, _ in try elect("db-2", &rule) } == nil, "it lets nobody in yet")
        #expect(
            try verdict { rule, heartbeat in
                try lead("db-2", &rule, &heartbeat)
            } == .succeeded("db-2 leads epoch 2"))
        #expect(
            try verdict { rule, heartbeat in
                try lead("db-3", &rule, &heartbeat)
            } == .failed("db-3 leads epoch 2, not db-2"))
        // It may have come out as wanted before the next failover.
        let passed = try verdict { rule, heartbeat in
            try elect("db-2", &rule)
            rule.history.append(Reign(epoch: rule.epoch, leader: rule.leader, begin: LSN(1)))
            try lead("db-3", &rule, &heartbeat)
        }
        #expect(passed?.state == .failed)
        #expect(passed?.words.contains("not db-2, and db-2 was named for epoch 2 before; whether it let") == true)
        #expect(
            try verdict { rule, _ in rule.switchover = SwitchoverRequest(id: "other", target: nil) }?.state
                == .failed)
        #expect(try steps { _, _ in } == [])
        #expect(try steps { $1.isOpen = false } == ["db-1 lets nobody in"])
        #expect(
            try steps { rule, _ in
                rule.recruitment = Recruitment(epoch: rule.epoch.next, proposer: rule.leader, reason: .switchover)
            } == ["members are called for epoch 2"])
        #expect(try steps { rule, _ in try elect("db-2", &rule) } == ["db-2 was named for epoch 2"])
        #expect(
            try steps { rule, heartbeat in
                try lead("db-2", &rule, &heartbeat)
            } == ["db-2 was named for epoch 2", "db-2 lets clients in"])
        var gone = began
        _ = gone.apply(.changes([.delete(key: StoreKeys.clusterSpec(world.cluster))], revision: Revision(99999)))
        #expect(ClusterOperations().verdict(on: operation, in: gone) == nil, "a part is gone: nobody knows")
    }

    @Test("A leader that never let anybody in is not said to close for the switchover that it is asked for")
    func neverOpen() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let id = try await world.directory.requestSwitchover(of: world.cluster, to: try MemberName("db-2"))
        let began = try await world.look()
        let (operation, records) = (try #require(began.operations[id]), try #require(began.clusters[world.cluster]))
        let members = try #require(records.rule).members
        for confirming in [true, false] {
            var (planet, heartbeat) = (began, try #require(records.heartbeat))
            heartbeat.isOpen = false
            heartbeat.standbys = members.dropFirst().map {
                StandbyView(member: $0, isConfirming: confirming, behindBytes: confirming ? 0 : nil)
            }
            let beat = try entry(StoreKeys.clusterHeartbeat(world.cluster), heartbeat)
            _ = planet.apply(.changes([.put(beat)], revision: Revision(began.revision + 1)))
            let steps = ClusterOperations().steps(of: operation, in: planet)
            #expect(steps == (confirming ? ["db-1 lets nobody in"] : []))
        }
    }

    @Test("A switchover has failed when another member is named or another switchover asked for, whoever looks when")
    func overtakenSwitchover() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let id = try await world.directory.requestSwitchover(of: world.cluster, to: try MemberName("db-2"))
        let began = try await world.look()
        let operation = try #require(began.operations[id])
        let first = try #require(began.clusters[world.cluster]?.rule)
        func verdict(_ leaders: [String], isOpen: Bool, wish: SwitchoverRequest? = nil) throws -> OperationVerdict? {
            var rule = first
            for leader in leaders {
                try elect(leader, &rule)
                rule.history.append(Reign(epoch: rule.epoch, leader: rule.leader, begin: LSN(1)))
            }
            rule.switchover = wish
            let beat = Heartbeat(epoch: rule.epoch, leader: rule.leader, sequence: 1, isOpen: isOpen)
            var planet = began
            _ = planet.apply(
                .changes(
                    [
                        .put(try entry(StoreKeys.clusterRule(world.cluster), rule)),
                        .put(try entry(StoreKeys.clusterHeartbeat(world.cluster), beat)),
                    ], revision: Revision(began.revision + 1)))
            return ClusterOperations().verdict(on: operation, in: planet)
        }
        // Nobody hands over to it any more, whether or not whoever leads ever lets clients in, and whoever leads later.
        let other = OperationVerdict.failed("db-3 was named for epoch 2, not db-2")
        #expect(try verdict(["db-3"], isOpen: false) == other)
        #expect(try verdict(["db-3", "db-2"], isOpen: false) == other)
        #expect(try verdict(["db-3", "db-2"], isOpen: true) == other)
        let another = SwitchoverRequest(id: "other", target: nil)
        #expect(
            try verdict(["db-2"], isOpen: false, wish: another)
                == .failed("another switchover was asked for before db-2 let clients in"))
        #expect(try verdict(["db-2"], isOpen: true, wish: another) == .succeeded("db-2 leads epoch 2"))
        // It was closed before, for another reason: that is no step of this.
        var starting = began
        var report = try #require(starting.clusters[world.cluster]?.reports[first.leader])
        report.detail = "waits until 1 standby has its log up to 0/2802028"
        let beat = Heartbeat(epoch: first.epoch, leader: first.leader, sequence: 2, isOpen: false)
        _ = starting.apply(
            .changes(
                [
                    .put(try entry(StoreKeys.clusterHeartbeat(world.cluster), beat)),
                    .put(try entry(StoreKeys.report(world.cluster, report.member), report)),
                ], revision: Revision(began.revision + 1)))
        #expect(ClusterOperations().steps(of: operation, in: starting) == [])
    }

    @Test("A switchover that may have come out as wanted before the next failover is said to be that")
    func switchoverBeforeAFailover() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let id = try await world.directory.requestSwitchover(of: world.cluster, to: try MemberName("db-2"))
        var planet = try await world.look()
        let operation = try #require(planet.operations[id])
        var rule = try #require(planet.clusters[world.cluster]?.rule)
        for member in [rule.members[1], rule.members[2]] {
            (rule.epoch, rule.leader, rule.switchover) = (rule.epoch.next, member, nil)
            rule.history.append(Reign(epoch: rule.epoch, leader: member, begin: LSN(1)))
        }
        let beat = Heartbeat(epoch: rule.epoch, leader: rule.leader, sequence: 1, isOpen: true)
        _ = planet.apply(
            .changes(
                [
                    .put(try entry(StoreKeys.clusterRule(world.cluster), rule)),
                    .put(try entry(StoreKeys.clusterHeartbeat(world.cluster), beat)),
                ], revision: Revision(planet.revision + 1)))
        let verdict = ClusterOperations().verdict(on: operation, in: planet)
        #expect(verdict?.state == .failed)
        let words = "db-3 leads epoch 3, not db-2, and db-2 was named for epoch 2 before; whether it let clients in"
        #expect(verdict?.words.hasPrefix(words) == true, "\(verdict?.words ?? "")")
    }

    @Test("A switchover whose rule cannot be read, or is not there, has not ended, and least of all by a lie")
    func switchoverWithoutRule() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        try await settle(world, under: fence)
        try await world.becomeReady()
        let id = try await world.directory.requestSwitchover(of: world.cluster, to: try MemberName("db-2"))
        let began = try await world.look()
        let operation = try #require(began.operations[id])
        var torn = began
        let key = StoreKeys.clusterRule(world.cluster)
        let letters = Entry(key: key, value: Array("{".utf8), created: Revision(1), modified: Revision(7))
        _ = torn.apply(.changes([.put(letters)], revision: Revision(began.revision + 1)))
        #expect(torn.unreadable.contains(key))
        #expect(ClusterOperations().verdict(on: operation, in: torn) == nil)
        var ruleless = began
        _ = ruleless.apply(.changes([.delete(key: key)], revision: Revision(began.revision + 1)))
        #expect(ClusterOperations().verdict(on: operation, in: ruleless) == nil)
        var unknown = operation
        unknown.reigning = nil
        let verdict = try #require(
            ClusterOperations().verdict(on: unknown, in: began), "it is waited for without end")
        #expect(verdict.state == .failed && !verdict.words.contains("destroyed"))
    }

    private func entry(_ key: String, _ record: some Encodable) throws -> Entry {
        Entry(key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1), modified: Revision(7))
    }

    @Test("What ended long ago and what is too much is removed, and what runs or is not understood stays")
    func bounds() throws {
        var planet = Planet()
        let now: Int64 = 1_795_761_000_000
        var changes: [WatchEvent.Change] = []
        func add(_ number: Int, _ state: OperationRecord.State, endedBefore: Duration?) throws {
            let digits = String(number)
            let id = try PlanetOperationID(String(repeating: "0", count: 26 - digits.count) + digits)
            var record = OperationRecord(
                id: id, kind: .createCluster, object: try AppName("db"), objectMadeAt: 1, startedAt: 1, requestID: nil)
            record.state = state
            record.endedAt = endedBefore.map { now - $0.milliseconds }
            changes.append(.put(try entry(StoreKeys.operation(id), record)))
        }
        let week = OperationKeeper.ageMax
        try add(1, .succeeded, endedBefore: week + .seconds(1))
        try add(2, .failed, endedBefore: week - .seconds(1))
        try add(3, .running, endedBefore: nil)
        try add(4, .unknown("paused"), endedBefore: week * 2)
        _ = planet.apply(.changes(changes, revision: Revision(1)))
        #expect(OperationKeeper.old(of: planet, at: now).map(\.text) == ["00000000000000000000000001"])
        for number in 10..<(10 + OperationKeeper.endedMax) {
            try add(number, .succeeded, endedBefore: .seconds(number))
        }
        _ = planet.apply(.changes(changes, revision: Revision(2)))
        // The newest stay; the two that ended before them go.
        #expect(Set(OperationKeeper.old(of: planet, at: now).map { Int($0.text) }) == [1, 2])
    }
}
