import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostPlanet
import RoostRuntime
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostAPI
@testable import RoostPostgresControl

/// One member's socket at its host: who is heard there, and by what a rule is measured before it is written.
@Suite("What a host takes from a member") struct MemberRoutesTests {
    /// What a socket did to its machine's gate.
    final class Gates: Sendable {
        let said = Mutex<[Bool]>([])
        /// What edges are told straight.
        let told = Mutex<[Heartbeat]>([])
    }

    /// A member's socket.
    struct Door {
        let routes: MemberRoutes
        let watcher: PlanetWatcher
        let warden: LeaseWarden
        let gates = Gates()

        /// - Parameter stateFolder: where its host keeps what it has heard; one that has heard nothing has one of its own.
        init(
            _ world: ClusterWorld, _ machine: MachineID, _ member: MemberName, of cluster: AppName,
            stateFolder: String? = nil
        ) {
            let caller = MemberRoutes.Caller(machine: machine, cluster: cluster, member: member)
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            watcher = PlanetWatcher(
                store: world.store, stateFolder: stateFolder ?? world.folder,
                following: [.cluster(world.cluster), .secrets(world.cluster)], logger: logger)
            warden = LeaseWarden(
                file: world.folder + "/leases", logger: logger, began: { _ in .unknown }, kill: { _ in })
            routes = MemberRoutes(
                caller: caller, watcher: watcher,
                store: MemberStore(caller: caller, watcher: watcher, store: world.store),
                warden: warden, tell: { [gates] beat, _ in gates.told.withLock { $0.append(beat) } }
            ) { [gates] wish in gates.said.withLock { $0.append(wish.isOpen) } }
        }

        private func answer(_ method: APIRoute.Method, _ path: String, _ body: Data) async throws -> Data {
            let route = try #require(routes.routes.first { $0.path == path && $0.method == method })
            let call = APICall(
                method: method, path: path, queryText: nil, query: APIQuery(nil), parameters: [:], body: body,
                caller: .member(routes.caller.machine), forwardedBy: nil, requestID: "test",
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            guard case .bytes(let data) = try await route.handler(call).body else { return Data() }
            return data
        }

        private func put(_ what: String, _ body: some Encodable) async throws -> Data {
            try await answer(.put, "/v1/cluster/\(what)", try JSONEncoder().encode(body))
        }

        func read() async throws -> ClusterView {
            try JSONDecoder().decode(ClusterView.self, from: try await answer(.get, "/v1/cluster", Data()))
        }

        func last() async throws -> ClusterView {
            try JSONDecoder().decode(ClusterView.self, from: try await answer(.get, "/v1/cluster/last", Data()))
        }

        func hold(_ word: LeaseWord) async throws { _ = try await put("lease", word) }

        func change(_ rule: ClusterRule, over revision: Int64) async throws -> Bool {
            let body = ChangeRuleRequest(rule: rule, expectedRevision: revision)
            return try JSONDecoder().decode(ChangeOutcome.self, from: try await put("rule", body)).isApplied
        }

        func renew(_ beat: Heartbeat, under revision: Int64) async throws -> Bool {
            let body = HeartbeatRequest(heartbeat: beat, ruleRevision: revision)
            return try JSONDecoder().decode(ChangeOutcome.self, from: try await put("heartbeat", body)).isApplied
        }

        /// - Returns: false: the store has moved on from what this host has heard of it, and nothing was written.
        @discardableResult func report(_ report: MemberReport) async throws -> Bool {
            try JSONDecoder().decode(ChangeOutcome.self, from: try await put("report", report)).isApplied
        }

        func open(_ isOpen: Bool) async throws { _ = try await put("gate", GateRequest(isOpen: isOpen, sequence: 1)) }
    }

    func ready(members: Int = 3) async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create(members: members)
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        return world
    }

    func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    func name(_ number: Int) throws -> MemberName { try MemberName("db-\(number)") }

    func door(_ world: ClusterWorld, _ number: Int) async throws -> Door {
        let member = try name(number)
        let placement = try #require(try await records(world).placements[member])
        return Door(world, placement.machine, member, of: world.cluster)
    }

    @discardableResult
    func write(_ world: ClusterWorld, _ rule: ClusterRule) async throws -> Int64 {
        try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
            .revision.number
    }

    func code(_ body: () async throws -> Void) async -> Refusal.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? Refusal)?.code
        }
    }

    /// All that one may write: a call, a renewal, a report, the gate.
    private func tries(_ door: Door, _ world: ClusterWorld) async throws -> [Refusal.Code?] {
        let records = try await records(world)
        let rule = try #require(records.rule)
        let member = door.routes.caller.member
        var next = rule
        next.recruitment = Recruitment(
            epoch: rule.epoch.next, proposer: member,
            reason: member == rule.leader ? .leaderResigned : .leaderSilent)
        let beat = Heartbeat(epoch: rule.epoch, leader: member, sequence: 7, isOpen: true)
        let report = try #require(records.reports[try name(2)])
        return [
            await code { _ = try await door.change(next, over: records.ruleRevision) },
            await code { _ = try await door.renew(beat, under: records.ruleRevision) },
            await code {
                var report = report
                report.member = member
                report.sequence = 99
                try await door.report(report)
            },
            await code { try await door.open(true) },
        ]
    }

    private func written(_ world: ClusterWorld) async throws -> [String: [UInt8]] {
        let entries = try await world.store.read(.prefix(StoreKeys.cluster(world.cluster)), at: nil).entries
        return Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value) })
    }

    @Test("A machine that is not the one of the member's place writes nothing and opens nothing")
    func anotherMachine() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await written(world)
        let door = Door(world, try MachineID("0123456789abcd"), try name(1), of: world.cluster)
        #expect(try await tries(door, world) == Array(repeating: .failedPrecondition, count: 4))
        #expect(await code { _ = try await door.read() } == .failedPrecondition)
        #expect(try await written(world) == before && door.gates.said.withLock { $0.isEmpty })
    }

    @Test("That its Postgres has stopped is heard, whatever else is wrong with what a member says")
    func stopped() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leader = try await door(world, 1)
        let machine = leader.routes.caller.machine
        leader.warden.noteRenewal(by: machine, epoch: .first, requestedAt: BootClock.now())
        var report = try #require(try await records(world).reports[try name(1)])
        report.sequence = RecordNumber.max + 1
        report.role = .primary
        #expect(await code { try await leader.report(report) } == .invalid)
        #expect(leader.warden.held == [machine])
        report.role = .standby
        #expect(await code { try await leader.report(report) } == .invalid)
        #expect(leader.warden.held.isEmpty, "or its machine would be ended")
    }

    @Test("One that no place names may look, report and close, and no more")
    func withoutPlace() async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 1)
        _ = try await world.store.commit(
            Transaction(then: [.delete(.key(StoreKeys.placement(world.cluster, try name(1))))]))
        let before = try await records(world)
        #expect(
            try await tries(door, world) == [.failedPrecondition, .failedPrecondition, nil, .failedPrecondition])
        _ = try await door.read()
        try await door.open(false)
        let after = try await records(world)
        #expect(after.rule == before.rule && after.heartbeat == before.heartbeat)
        #expect(after.reports[try name(1)]?.sequence == 99)
        #expect(door.gates.said.withLock { $0 } == [false])
    }

    @Test(
        "What this host has heard last is there for the machine of that member, and nothing of it before it was heard")
    func heardLast() async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 1)
        let other = Door(world, try MachineID("0123456789abcd"), try name(1), of: world.cluster)
        #expect(await code { _ = try await door.last() } == .unavailable)
        let running = [door.watcher, other.watcher].map { watcher in Task { try await watcher.run() } }
        defer { for task in running { task.cancel() } }
        let view = try #require(try await poll(for: .seconds(10)) { try? await door.last() })
        let present = try await door.read()
        #expect(view.rule == present.rule && view.ruleRevision == present.ruleRevision)
        #expect(view.secrets == present.secrets && view.placements == present.placements)
        #expect(view.takesLeaseWord == true && present.takesLeaseWord == true)
        let isHeard = try await poll(for: .seconds(10)) { other.watcher.hears(world.cluster) ? true : nil }
        #expect(isHeard == true)
        #expect(await code { _ = try await other.last() } == .unavailable)
    }

    @Test(
        "A lease that other members have renewed is held at the host of the member's own machine, as of a moment within it"
    )
    func leaseWords() async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 1)
        let length = Heartbeat.lease.milliseconds
        for age in [-1, length + 1] {
            let word = LeaseWord(epoch: .first, ageMilliseconds: age)
            #expect(await code { try await door.hold(word) } == .invalid)
        }
        #expect(door.warden.held.isEmpty)
        let asked = BootClock.now()
        try await door.hold(LeaseWord(epoch: .first, ageMilliseconds: 2000))
        #expect(door.warden.held == [door.routes.caller.machine])
        let long = Heartbeat.lease + Heartbeat.grace
        #expect(door.warden.overdue(at: asked + (long - .milliseconds(2500))).isEmpty)
        #expect(door.warden.overdue(at: BootClock.now() + long).map { $0.0 } == [door.routes.caller.machine])
        let stranger = Door(world, try MachineID("0123456789abcd"), try name(1), of: world.cluster)
        let word = LeaseWord(epoch: .first, ageMilliseconds: 0)
        #expect(await code { try await stranger.hold(word) } == .failedPrecondition)
        #expect(stranger.warden.held.isEmpty)
    }

    @Test("A member of another cluster reaches that one, and this one not at all")
    func anotherCluster() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await written(world)
        let machine = try #require(try await records(world).placements[try name(1)]).machine
        let door = Door(world, machine, try name(1), of: try AppName("other"))
        for code in try await tries(door, world) { #expect(code != nil) }
        #expect(await code { _ = try await door.read() } == .notFound)
        #expect(try await written(world) == before && door.gates.said.withLock { $0.isEmpty })
    }

    @Test("Nobody speaks for another member, or has a lease that is another's")
    func speakingForOthers() async throws {
        let world = try await ready()
        defer { world.remove() }
        let records = try await records(world)
        let rule = try #require(records.rule)
        let (leader, standby) = (try await door(world, 1), try await door(world, 2))
        let mine = Heartbeat(epoch: rule.epoch, leader: try name(1), sequence: 7, isOpen: true)
        #expect(await code { _ = try await standby.renew(mine, under: records.ruleRevision) } == .invalid)
        var own = mine
        own.leader = try name(2)
        #expect(await code { _ = try await standby.renew(own, under: records.ruleRevision) } == .invalid)
        var later = mine
        later.epoch = rule.epoch.next
        #expect(await code { _ = try await leader.renew(later, under: records.ruleRevision) } == .invalid)
        let report = try #require(records.reports[try name(1)])
        #expect(await code { try await standby.report(report) } == .invalid)
        #expect(try await self.records(world).heartbeat == records.heartbeat)
        #expect(leader.gates.told.withLock(\.self).isEmpty && standby.gates.told.withLock(\.self).isEmpty)
        #expect(try await leader.renew(mine, under: records.ruleRevision))
        #expect(leader.gates.told.withLock(\.self) == [mine])
        #expect(try await self.records(world).heartbeat == mine)
        // Under a rule that was replaced there is no lease, whoever leads by the new one.
        try await write(world, rule)
        var next = mine
        next.sequence = 8
        #expect(try await !leader.renew(next, under: records.ruleRevision))
        #expect(try await self.records(world).heartbeat == mine)
    }

    @Test("One that was removed, or only joins, looks, reports and closes, and that is all", arguments: [false, true])
    func noMember(joins: Bool) async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 3)
        let whole = try #require(try await records(world).rule)
        var rule = whole
        rule.members.removeLast()
        rule.change = MemberChange(id: "a", steps: [.init(joins ? .add : .remove, try name(3))])
        if !joins {
            let steps = rule.change?.left ?? []
            rule.change?.done = steps
            rule.change?.left = []
        }
        try await write(world, rule)
        let before = try await records(world)
        #expect(try await tries(door, world) == [.invalid, .invalid, nil, .failedPrecondition])
        try await door.open(false)
        let after = try await records(world)
        #expect(after.rule == before.rule && after.heartbeat == before.heartbeat)
        #expect(after.reports[try name(3)]?.sequence == 99)
        #expect(door.gates.said.withLock { $0 } == [false])
        // Once the rule names it, clients may come in.
        try await write(world, whole)
        try await door.open(true)
        #expect(door.gates.said.withLock { $0 } == [false, true])
    }

    private func elected(_ member: MemberName, after rule: ClusterRule) -> ClusterRule {
        var next = rule
        next.epoch = rule.epoch.next
        next.leader = member
        next.recruitment = nil
        next.timeline = 2
        next.history.append(Reign(epoch: next.epoch, leader: member, begin: LSN(9)))
        return next
    }

    @Test(
        "An election is measured by the rule that it replaces, also where its host has another one in mind",
        arguments: [true, false])
    func overAnOlderRule(isRead: Bool) async throws {
        let world = try await ready(members: 4)
        defer { world.remove() }
        let door = try await door(world, 4)
        var older = try #require(try await records(world).rule)
        older.change = MemberChange(id: "a", steps: [.init(.remove, try name(4))])
        try await write(world, older)
        // The host knows what it has answered.
        if isRead { #expect(try await door.read().rule == older) }
        var present = older
        present.members.removeLast()
        present.changes = 1
        present.change?.done = older.change?.left ?? []
        present.change?.left = []
        let revision = try await write(world, present)
        let stolen = elected(try name(4), after: older)
        #expect(await code { _ = try await door.change(stolen, over: revision) } == .invalid)
        #expect(try await records(world).rule == present)
        // What was asked for since is not left out by an election either.
        var paused = present
        paused.pause = WishTerm(beganAt: 0, length: .seconds(60))
        let last = try await write(world, paused)
        let other = try await self.door(world, 2)
        #expect(await code { _ = try await other.change(elected(try name(2), after: present), over: last) } == .invalid)
        #expect(try await other.change(elected(try name(2), after: paused), over: last))
        #expect(try await records(world).rule?.leader == name(2))
    }

    @Test("What is lawful over a rule that is no more is not written, and neither is what is not lawful")
    func races() async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 2)
        let view = try await door.read()
        let rule = try #require(view.rule)
        var call = rule
        call.recruitment = Recruitment(epoch: rule.epoch.next, proposer: try name(2), reason: .leaderSilent)
        var paused = rule
        paused.pause = WishTerm(beganAt: 0, length: .seconds(60))
        let revision = try await write(world, paused)
        #expect(try await !door.change(call, over: view.ruleRevision))
        #expect(await code { _ = try await door.change(call, over: revision) } == .invalid, "it takes the pause away")
        #expect(try await records(world).rule == paused)
        call.pause = paused.pause
        #expect(try await door.change(call, over: revision))
        // It goes on from what it has written, before its host hears of it.
        let next = try await records(world).ruleRevision
        #expect(try await door.change(elected(try name(2), after: call), over: next))
        #expect(try await !door.change(elected(try name(2), after: call), over: next), "once")
    }

    @Test("A spec that only a newer program can read takes no member its store", arguments: [false, true])
    func specOfANewerVersion(isFollowed: Bool) async throws {
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 2)
        let running = isFollowed ? Task { try await door.watcher.run() } : nil
        defer { running?.cancel() }
        func hears(_ body: @Sendable (Planet.ClusterRecords) -> Bool) async throws {
            guard isFollowed else { return }
            let isHeard = try await poll(for: .seconds(10)) {
                door.watcher.heard(world.cluster).map(body) == true ? true : nil
            }
            try #require(isHeard == true)
        }
        try await hears { $0.spec != nil }
        let before = try await records(world)
        let revision = try await world.store.commit(
            Transaction(
                then: [
                    .put(
                        key: StoreKeys.clusterSpec(world.cluster), value: Array(#"{"shape":"round"}"#.utf8), lease: nil)
                ])
        ).revision
        try await hears { $0.specStored == revision.number }
        var report = try #require(before.reports[try name(2)])
        report.sequence = 99
        try await door.report(report)
        let rule = try #require(before.rule)
        var call = rule
        call.recruitment = Recruitment(epoch: rule.epoch.next, proposer: try name(2), reason: .leaderSilent)
        #expect(try await door.change(call, over: before.ruleRevision))
        // What it was is all that is known of it, where that is known.
        if isFollowed {
            let view = try await door.read()
            #expect(view.spec == before.spec && view.rule == call)
        } else {
            #expect(await code { _ = try await door.read() } == .notFound)
        }
        // A cluster that is gone is gone.
        _ = try await world.store.commit(
            Transaction(then: [.delete(.key(StoreKeys.clusterSpec(world.cluster)))]))
        report.sequence = 100
        #expect(
            try await world.store.read(.key(StoreKeys.report(world.cluster, try name(2))), at: nil).entries.count == 1)
        _ = await code { try await door.report(report) }
        let last = try await world.store.record(MemberReport.self, at: StoreKeys.report(world.cluster, try name(2)))
        #expect(last?.record.sequence == 99)
    }

    @Test("What a host of this version does not know of a rule is not a member's to write or to take away")
    func fieldsOfANewerVersion() async throws {
        struct Newer: Encodable {
            enum Key: CodingKey { case obeys }
            let rule: ClusterRule
            func encode(to encoder: any Encoder) throws {
                try rule.encode(to: encoder)
                var container = encoder.container(keyedBy: Key.self)
                try container.encode("all", forKey: .obeys)
            }
        }
        let world = try await ready()
        defer { world.remove() }
        let door = try await door(world, 2)
        let rule = try #require(try await records(world).rule)
        let plain = try await records(world).ruleRevision
        var call = rule
        call.recruitment = Recruitment(epoch: rule.epoch.next, proposer: try name(2), reason: .leaderSilent)
        let newer = try JSONDecoder().decode(ClusterRule.self, from: JSONEncoder().encode(Newer(rule: call)))
        #expect(await code { _ = try await door.change(newer, over: plain) } == .invalid)
        let stored = try JSONDecoder().decode(ClusterRule.self, from: JSONEncoder().encode(Newer(rule: rule)))
        let revision = try await write(world, stored)
        #expect(await code { _ = try await door.change(call, over: revision) } == .invalid)
        #expect(try await door.change(newer, over: revision))
    }

    @Test("A rule that was noted is one of the store as it is: it is forgotten when the store goes back")
    func noted() throws {
        let rules = NotedRules()
        let rule = ClusterRule(
            epoch: .first, leader: try name(1), members: [try name(1)], confirmations: 0,
            history: [Reign(epoch: .first, leader: try name(1), begin: .zero)])
        func note(_ revision: Int64, _ listing: UInt64) {
            rules.note(KnownRule(rule: rule, revision: revision), since: listing)
        }
        func isKnown(_ revision: Int64, _ listing: UInt64) -> Bool {
            rules.rule(at: revision, since: listing)?.revision == revision
        }
        note(5, 1)
        note(7, 1)
        #expect(isKnown(5, 1) && isKnown(7, 1) && !isKnown(6, 1) && !isKnown(8, 1))
        #expect(!isKnown(7, 2), "listed anew")
        note(6, 1)
        #expect(isKnown(6, 1) && !isKnown(5, 1) && !isKnown(7, 1), "it has gone back")
        note(9, 2)
        #expect(isKnown(9, 2) && !isKnown(6, 2))
    }
}
