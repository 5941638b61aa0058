import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Replacements that cannot be carried out: whom they hold up, and for how long.
@Suite("Whose turn it is to be replaced") struct ReplacementTurnsTests {
    /// Three members of each cluster on three of four hosts, of which all are heard.
    private func ready(_ clusters: [String] = ["db"]) async throws -> [ClusterWorld] {
        var worlds: [ClusterWorld] = []
        var first = try await ClusterWorld(hosts: 4)
        first.memory = .gibibytes(32)
        for name in clusters {
            var world = first
            world.cluster = try AppName(name)
            try await world.create()
            #expect(try await world.settle(under: try await world.takeDuty()))
            // None is led from where it is lost.
            let placements = try await records(world).placements
            let leader = try (1...3).first { try placements[MemberName("\(name)-\($0)")]?.host != world.names[0] }
            try await world.becomeReady(leader: try #require(leader))
            try await say(MemberSkill.known, in: world)
            worlds.append(world)
        }
        let members = try clusters.flatMap { name in try (1...3).map { try MemberName("\(name)-\($0)") } }
        first.ear.voices.withLock { $0 = ClusterVoices(members: Set(members), isLeaderRenewing: true) }
        return worlds
    }

    private func say(_ skills: [MemberSkill]?, in world: ClusterWorld) async throws {
        let puts = try await records(world).reports.values.map { report in
            var report = report
            report.skills = skills
            return try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
    }

    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    private func pass(_ time: Duration, in world: ClusterWorld) { world.ear.now.withLock { $0 = $0 + time } }

    private func lose(_ host: HostName, in world: ClusterWorld, _ members: [MemberName]) {
        world.hosts.away.withLock { _ = $0.insert(host) }
        world.ear.voices.withLock { $0?.members.subtract(members) }
    }

    /// The one that is to come.
    private func comer(_ world: ClusterWorld) async throws -> MemberName? {
        try await records(world).rule?.change?.current?.member
    }

    private func obstacles(_ world: ClusterWorld) async throws -> [String] {
        let planet = try await world.look()
        let reachable = Set(world.names).subtracting(world.hosts.away.withLock { $0 })
        return try #require(world.reconciler.plan(for: world.cluster, in: planet, reachable: reachable)).obstacles
    }

    /// The host of `db-3` is lost, and another member has been asked for. The free host is the one that it could go to.
    private func asked() async throws -> (world: ClusterWorld, fence: Transaction.Compare, free: HostName) {
        let world = try #require(try await ready().first)
        let fence = try await world.takeDuty()
        let placements = try await records(world).placements
        let third = try MemberName("db-3")
        let lost = try #require(placements[third]?.host)
        let free = try #require(Set(world.names).subtracting(placements.values.map(\.host)).min())
        lose(lost, in: world, [third])
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        _ = try await world.round(under: fence)
        #expect(try await comer(world)?.text == "db-4")
        return (world, fence, free)
    }

    @Test("Who is refused has no turn and holds up nobody; of the others eight go at once")
    func turns() async throws {
        let worlds = try await ready((1...15).map { "db\($0)" })
        let first = try #require(worlds.first)
        defer { first.remove() }
        let fence = try await first.takeDuty()
        let planet = try await first.look()
        let lost = first.names[0]
        var concerned: [(world: ClusterWorld, member: MemberName)] = []
        for world in worlds {
            let placements = planet.clusters[world.cluster]?.placements ?? [:]
            guard let member = placements.values.first(where: { $0.host == lost })?.member else { continue }
            concerned.append((world, member))
        }
        let old = concerned.prefix(2)
        for (world, _) in old { try await say(nil, in: world) }
        lose(lost, in: first, concerned.map(\.member))
        for (world, _) in concerned { _ = try await world.round(under: fence) }
        pass(.seconds(600), in: first)
        for _ in 0..<3 { for (world, _) in concerned { _ = try await world.round(under: fence) } }
        for (world, member) in old {
            #expect(try await comer(world) == nil)
            #expect(try await obstacles(world).contains { $0.contains("\(member) is not replaced: the program of") })
        }
        var underWay = 0
        for (world, _) in concerned where try await comer(world) != nil { underWay += 1 }
        #expect(concerned.count - old.count > Replacement.underWayMax)
        #expect(underWay == Replacement.underWayMax)
    }

    @Test("A turn is had by who has asked, for as long as it is under way or was just written; a refusal gives it back")
    func turnsOfMany() throws {
        var turns = ReplacementTurns()
        let clusters = try (0..<12).map { ReplacementTurns.Turn.members(try AppName("db\($0)")) }
        var now = Moment(sinceBoot: .seconds(100))
        let taken = clusters.prefix(9).map { turns.take($0, at: now) }
        #expect(taken == Array(repeating: true, count: 8) + [false])
        #expect(turns.isFree(for: clusters[0]), "its own it has")
        turns.gaveUp(clusters[0], because: "no", at: now)
        #expect(turns.refusal(of: clusters[0], at: now) == "no")
        let isNinthOn = turns.take(clusters[8], at: now)
        #expect(isNinthOn)
        var pauses: [Duration] = []
        for _ in 0..<9 {
            let began = now
            while turns.refusal(of: clusters[0], at: now) != nil { now = now + .seconds(5) }
            pauses.append(now - began)
            turns.gaveUp(clusters[0], because: "no", at: now)
        }
        #expect(pauses == [15, 30, 60, 120, 240, 480, 600, 600, 600].map { .seconds($0) })
        turns.gaveUp(clusters[1], because: nil, at: now)
        #expect(turns.refusal(of: clusters[1], at: now) == nil)
        turns.see([clusters[2]], at: now)
        let isFree = clusters[3...10].allSatisfy { turns.isFree(for: $0) }
        #expect(isFree, "what was asked for long ago, and does not show, is not")
    }

    @Test("Of eight turns readers have four at most, and members what is left")
    func turnsOfReaders() throws {
        var turns = ReplacementTurns()
        let clusters = try (0..<6).map { try AppName("db\($0)") }
        let now = Moment(sinceBoot: .seconds(100))
        let ofReaders = clusters.map { turns.take(.readers($0), at: now) }
        #expect(ofReaders == [true, true, true, true, false, false])
        let ofMembers = clusters.map { turns.take(.members($0), at: now) }
        #expect(ofMembers == [true, true, true, true, false, false], "a cluster's own reader is another one")
        #expect(!turns.isFree(for: .readers(clusters[5])) && turns.isFree(for: .readers(clusters[0])))
        turns.gaveUp(.readers(clusters[0]), because: "no", at: now)
        #expect(turns.isFree(for: .members(clusters[5])) && turns.isFree(for: .readers(clusters[5])))
        #expect(turns.refusal(of: .readers(clusters[0]), at: now) == "no")
        #expect(turns.refusal(of: .members(clusters[0]), at: now) == nil)
        #expect(turns.isTaken(.readers(clusters[1])) && !turns.isTaken(.readers(clusters[0])))
        // Readers that came long ago and copy again.
        var others = ReplacementTurns()
        others.see(Set(try (0..<9).map { .readers(try AppName("db\($0)")) }), at: now)
        let next = ReplacementTurns.Turn.readers(try AppName("db9"))
        #expect(others.isFree(for: .members(clusters[0])) && !others.isFree(for: next))
    }

    @Test("Rather no place than one beside another member; and what has no place is taken back, and begun later")
    func placeless() async throws {
        let (world, fence, free) = try await asked()
        defer { world.remove() }
        let others = try await Set(records(world).placements.values.map(\.host))
        world.hosts.away.withLock { _ = $0.insert(free) }
        for _ in 0..<3 { _ = try await world.round(under: fence) }
        let fourth = try MemberName("db-4")
        #expect(try await records(world).placements[fourth] == nil)
        #expect(try await obstacles(world).contains { $0.contains("db-4 has no place") })
        pass(Replacement.comingMax - .milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(try await comer(world) == fourth)
        pass(.milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(
            try await records(world).rule?.change?.refusal
                == "db-4, which was to come, has got no place within 15m")
        world.hosts.away.withLock { _ = $0.remove(free) }
        for _ in 0..<4 { _ = try await world.round(under: fence) }
        #expect(try await comer(world) == nil)
        #expect(try await records(world).spec?.members.map(\.name.text) == ["db-1", "db-2", "db-3"])
        pass(.seconds(600), in: world)
        for _ in 0..<4 { _ = try await world.round(under: fence) }
        #expect(try await comer(world)?.text == "db-5")
        let after = try await records(world)
        #expect(after.spec?.attempts == ReplacementAttempts(count: 2))
        #expect(after.placements[try MemberName("db-5")]?.host == free)
        #expect(!others.contains(free))
    }

    @Test(
        "Tries that failed are counted one after the other, whichever member each of them is for, but not for ever",
        arguments: 0..<3)
    func othersTries(_ way: Int) async throws {
        let (world, fence, _) = try await asked()
        defer { world.remove() }
        let third = try MemberName("db-3")
        let before = try await records(world)
        let rule = try #require(before.rule)
        let other = try #require(rule.members.first { $0 != rule.leader && $0 != third })
        let host = try #require(before.placements[other]?.host)
        if way > 0 {
            for _ in 0..<3 { _ = try await world.round(under: fence) }
            pass(Replacement.comingMax, in: world)
            _ = try await world.round(under: fence)
            #expect(try await records(world).rule?.change?.refusal?.contains("which was to come") == true)
        }
        if way == 2 {
            // Years ago.
            var rule = try #require(try await records(world).rule)
            rule.change = rule.change.map { former in
                var change = MemberChange(id: "01J" + String(repeating: "0", count: 23), steps: former.left)
                (change.isAutomatic, change.refusal) = (true, former.refusal)
                return change
            }
            _ = try await world.store.commit(
                Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        }
        // The first is heard again, and then the other is lost.
        world.hosts.away.withLock { $0 = [] }
        world.ear.voices.withLock { _ = $0?.members.insert(third) }
        for _ in 0..<6 { _ = try await world.round(under: fence) }
        #expect(try await comer(world) == nil)
        lose(host, in: world, [other])
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        for _ in 0..<4 { _ = try await world.round(under: fence) }
        #expect(try await comer(world)?.text == "db-5")
        let attempts = try await records(world).spec?.attempts
        #expect(attempts?.count == (way == 1 ? 2 : 1) && attempts?.avoided.isEmpty == (way != 1), "\(way)")
    }

    @Test("A host that refuses what it is to make is given up, and its neighbour is not beside another member")
    func refused() async throws {
        let (world, fence, free) = try await asked()
        defer { world.remove() }
        world.hosts.full.withLock { _ = $0.insert(free) }
        for _ in 0..<6 {
            _ = try await world.round(under: fence)
            let placements = try await records(world).placements.values
            #expect(Set(placements.map(\.host)).count == placements.count)
        }
        pass(Replacement.comingMax, in: world)
        _ = try await world.round(under: fence)
        #expect(try await records(world).rule?.change?.refusal?.contains("which was to come") == true)
        for _ in 0..<3 { _ = try await world.round(under: fence) }
        world.hosts.full.withLock { $0 = [] }
        world.hosts.fault.withLock { $0 = Refusal(.failed, "the disk is broken") }
        pass(.seconds(600), in: world)
        for _ in 0..<4 { _ = try await world.round(under: fence) }
        #expect(try await comer(world)?.text == "db-5")
        pass(Replacement.comingMax, in: world)
        _ = try await world.round(under: fence)
        let after = try await records(world)
        #expect(
            after.rule?.change?.refusal == "db-5, which was to come, could not be made on \(free) within 15m")
        #expect(after.spec?.attempts?.avoided == [free])
    }

    @Test("A machine that has failed on a host that answers is no lost member, and what it has stays")
    func failed() async throws {
        let world = try #require(try await ready().first)
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let third = try MemberName("db-3")
        let placement = try #require(try await records(world).placements[third])
        world.hosts.failed.withLock { _ = $0.insert(placement.machine) }
        world.ear.voices.withLock { _ = $0?.members.remove(third) }
        for _ in 0..<4 {
            _ = try await world.round(under: fence)
            pass(.seconds(600), in: world)
        }
        #expect(try await records(world).rule?.change == nil)
        let words = "db-3 cannot be started on \(placement.host), which answers and has its data"
        #expect(try await obstacles(world).contains { $0.hasPrefix(words) })
        #expect(world.volumes.count == 3)
    }

    @Test("What somebody has switched over stays there, in a cluster that has a home")
    func ledAway() async throws {
        let world = try #require(try await ready().first)
        defer { world.remove() }
        let key = StoreKeys.clusterSpec(world.cluster)
        let leader = try #require(try await records(world).rule?.leader)
        let target = try #require(try await records(world).rule?.members.first { $0 != leader })
        for hasHome in [false, true] {
            var spec = try #require(try await records(world).spec)
            if hasHome { (spec.survive, spec.home) = (.host, world.hosts.region) }
            _ = try await world.store.commit(Transaction(then: [try .put(spec, at: key)]))
            _ = try await world.directory.requestSwitchover(of: world.cluster, to: target)
            let after = try await records(world)
            #expect(after.spec?.ledAway == (hasHome ? LedAway(epoch: .first, target: target) : nil))
            guard var rule = after.rule else { continue }
            rule.switchover = nil
            _ = try await world.store.commit(
                Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        }
    }
}
