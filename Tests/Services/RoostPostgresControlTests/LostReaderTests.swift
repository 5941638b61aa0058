import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Lost readers that are replaced though nobody asks, and what is done about it when somebody dies meanwhile.
@Suite("Lost readers are replaced") struct LostReaderTests {
    private static let callsMax = 16

    /// Three members and two readers, `db-4` and `db-5`, on five of eight hosts; all are heard, and all have data.
    private func ready(_ clusters: [String] = ["db"]) async throws -> [ClusterWorld] {
        let first = try await ClusterWorld(hosts: 8)
        first.ear.voices.withLock { $0 = ClusterVoices(members: [], isLeaderRenewing: true) }
        var worlds: [ClusterWorld] = []
        for name in clusters {
            var world = first
            world.cluster = try AppName(name)
            let fence = try await world.takeDuty()
            try await world.create()
            #expect(try await world.settle(under: fence))
            try await world.becomeReady()
            for var report in try await records(world).reports.values {
                report.skills = MemberSkill.known
                try await put(report, world)
            }
            _ = try await world.directory.changeReaders(of: world.cluster, .scale([world.hosts.region: 2]))
            #expect(try await world.settle(under: fence))
            for number in 1...5 { try await speak(number, in: world) }
            worlds.append(world)
        }
        return worlds
    }

    private func one() async throws -> (world: ClusterWorld, fence: Transaction.Compare) {
        let world = try #require(try await ready().first)
        return (world, try await world.takeDuty())
    }

    private func name(_ number: Int, _ world: ClusterWorld) throws -> MemberName {
        try MemberName("\(world.cluster)-\(number)")
    }

    private func put(_ report: MemberReport, _ world: ClusterWorld) async throws {
        _ = try await world.store.commit(
            Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, report.member))]))
    }

    /// It is heard; a reader, or who has come to be a member, says that it has data.
    private func speak(_ number: Int, in world: ClusterWorld) async throws {
        let name = try name(number, world)
        world.ear.voices.withLock { _ = $0?.members.insert(name) }
        guard number > 3 else { return }
        var report = MemberReport(
            member: name, role: .standby, state: .running, promised: .first, position: nil, timeline: 1,
            replayed: LSN(1), isStreaming: true, lagBytes: 0, lagMilliseconds: 0)
        report.data = .whole
        report.skills = MemberSkill.known
        try await put(report, world)
    }

    @discardableResult
    private func lose(_ number: Int, in world: ClusterWorld) async throws -> HostName {
        let name = try name(number, world)
        let host = try #require(try await records(world).placements[name]?.host)
        world.hosts.away.withLock { _ = $0.insert(host) }
        world.ear.voices.withLock { _ = $0?.members.remove(name) }
        return host
    }

    private func pass(_ time: Duration, in world: ClusterWorld) { world.ear.now.withLock { $0 = $0 + time } }

    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    private func readers(_ world: ClusterWorld) async throws -> [String] {
        try await records(world).spec?.readers?.map(\.name.text) ?? []
    }

    private func obstacles(_ world: ClusterWorld) async throws -> [String] {
        let planet = try await world.look()
        let reachable = Set(world.names).subtracting(world.hosts.away.withLock { $0 })
        _ = world.reconciler.watch(in: planet, reachable: reachable)
        return try #require(world.reconciler.plan(for: world.cluster, in: planet, reachable: reachable)).obstacles
    }

    @Test("A reader that stays lost with its host is replaced elsewhere, and cleared away when its host is back")
    func replaced() async throws {
        let (world, fence) = try await one()
        defer { world.remove() }
        let before = try await records(world)
        let lost = try await lose(4, in: world)
        #expect(try await !world.round(under: fence))
        pass(.milliseconds(599_999), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-4", "db-5"])
        pass(.milliseconds(1), in: world)
        _ = try await world.settle(under: fence)
        let after = try await records(world)
        #expect(after.spec?.readers?.map(\.name.text) == ["db-5", "db-6"] && after.rule == before.rule)
        let comer = try #require(after.placements[try name(6, world)])
        #expect(comer.host != lost && !before.placements.values.map(\.host).contains(comer.host))
        let operations = try await world.look().operations.values.filter { $0.kind == .replaceReader }
        #expect(operations.count == 1 && operations.first?.state == .succeeded)
        #expect(
            operations.first?.result
                == "db-4 on \(lost) was not heard from for 10m or longer: db-6 comes in its place")
        let body = try #require(ClusterStatus.body(of: world.cluster, in: try await world.look()))
        #expect(body.readers?.map(\.replaces) == [nil, try name(4, world)])
        #expect(after.placements[try name(4, world)] != nil, "its host has not answered")
        try await speak(6, in: world)
        world.hosts.away.withLock { $0 = [] }
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 5 && world.volumes.count == 5)
        #expect(!world.machines.contains { $0.host == lost })
    }

    @Test("Cut off at any call, by hosts that die one after the other, one is replaced by one", arguments: 1...callsMax)
    func cutAnywhere(call: Int) async throws {
        for cut in [Cuts.Cut.before(call), .after(call)] {
            let (world, _) = try await one()
            defer { world.remove() }
            world.cuts.begin(cut)
            let lost = try await lose(4, in: world)
            for _ in 0..<6 {
                // Each look is another host's, which has seen nothing before it, as when the store was away.
                world.reconciler.forgetWatch()
                let fence = try await world.takeDuty()
                _ = try await world.round(under: fence)
                pass(.seconds(600), in: world)
                _ = try await world.round(under: fence)
            }
            #expect(try await readers(world) == ["db-5", "db-6"])
            #expect(try await world.look().operations.values.count { $0.kind == .replaceReader } == 1)
            world.hosts.away.withLock { $0 = [] }
            #expect(try await world.settle(under: try await world.takeDuty()))
            #expect(world.machines.count == 5 && world.volumes.count == 5)
            #expect(!world.machines.contains { $0.host == lost })
        }
    }

    @Test(
        "Who is back at the last moment stays, by the store or by its host; and the time counts anew", arguments: 0..<4)
    func back(_ by: Int) async throws {
        let (world, fence) = try await one()
        defer { world.remove() }
        let host = try await lose(4, in: world)
        _ = try await world.round(under: fence)
        pass(.milliseconds(599_999), in: world)
        switch by {
        case 0: try await speak(4, in: world)
        case 1: world.hosts.away.withLock { _ = $0.remove(host) }
        // Nobody is lost of a cluster that this host does not hear, or on whose hosts somebody works.
        case 2: world.ear.voices.withLock { $0 = nil }
        default: try await world.directory.pause(world.cluster, for: .seconds(3600))
        }
        #expect(try await world.round(under: fence))
        pass(.seconds(60), in: world)
        _ = try await world.round(under: fence)
        world.ear.voices.withLock { $0 = ClusterVoices(members: [], isLeaderRenewing: true) }
        for number in [1, 2, 3, 5] { try await speak(number, in: world) }
        world.hosts.away.withLock { _ = $0.insert(host) }
        if by == 3 { _ = try await world.directory.resume(world.cluster) }
        _ = try await world.round(under: fence)
        pass(.milliseconds(599_999), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-4", "db-5"])
        pass(.milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-6"])
    }

    @Test("Lost at once, a member comes first, then one reader after the other; a look of before changes nothing")
    func together() async throws {
        let (world, fence) = try await one()
        defer { world.remove() }
        // The member's host has a reader, too.
        var placement = try #require(try await records(world).placements[try name(4, world)])
        let left = placement.host
        placement.host = try #require(try await records(world).placements[try name(3, world)]?.host)
        let key = StoreKeys.placement(world.cluster, placement.member)
        _ = try await world.store.commit(Transaction(then: [try .put(placement, at: key)]))
        world.hosts.contents.withLock { $0[left] = nil }
        for number in 3...5 { try await lose(number, in: world) }
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        let seen = try await world.look()
        _ = try await world.round(under: fence)
        #expect(try await records(world).rule?.change?.left.count == 2)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-4", "db-5"])
        #expect(
            try await obstacles(world).contains { $0.contains("db-4 is not replaced: a change of members is under") })
        var rule = try #require(try await records(world).rule)
        let steps = rule.change?.left ?? []
        rule.change?.done = steps
        rule.change?.left = []
        rule.members = try [1, 2, 6].map { try name($0, world) }
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        try await speak(6, in: world)
        for _ in 0..<3 { _ = try await world.round(under: fence) }
        #expect(try await readers(world) == ["db-5", "db-7"])
        let why = "db-5 is not replaced: db-7, which has come for another one, has no data yet"
        #expect(try await obstacles(world).contains { $0.hasSuffix(why) })
        let step = ClusterPlan.Step.replaceReader(try name(5, world), in: [world.hosts.region])
        #expect(try await !world.reconciler.carryOut(step, for: world.cluster, in: seen, fence: fence))
        try await speak(7, in: world)
        for _ in 0..<3 { _ = try await world.round(under: fence) }
        #expect(try await readers(world) == ["db-7", "db-8"])
    }

    @Test(
        "A cluster's lost reader waits for another one's lost member, and no longer than that is about to be replaced")
    func afterOthers() async throws {
        let worlds = try await ready(["db", "other"])
        let (world, other) = (worlds[0], worlds[1])
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await lose(4, in: world)
        try await lose(3, in: other)
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        #expect(try await obstacles(world).contains { $0.hasSuffix("lost members are replaced first") })
        pass(Replacement.membersFirst, in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-6"])
    }

    @Test("Too many lost hosts hold up everybody, as does want of room; the status of a cluster that is well says so")
    func held() async throws {
        var (world, fence) = try await one()
        defer { world.remove() }
        try await lose(4, in: world)
        let free = Set(world.names).subtracting(try await records(world).placements.values.map(\.host)).sorted()
        world.hosts.away.withLock { $0.formUnion(free.prefix(2)) }
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        #expect(try await obstacles(world).contains { $0.contains("db-4 is not replaced: 3 of 8 hosts are lost") })
        world.hosts.away.withLock { $0.subtract(free) }
        let room = world.memory
        world.memory = .mebibytes(64)
        let obstacles = try await obstacles(world)
        #expect(obstacles.contains { $0.contains("db-4 is not replaced: no host in region ams fits") })
        try await world.reconciler.note(
            obstacles.joined(separator: "; "), failed: [], on: world.cluster, in: try await world.look(), fence: fence)
        let body = try #require(ClusterStatus.body(of: world.cluster, in: try await world.look()))
        #expect(body.status == .ready && body.detail?.contains("db-4 is not replaced: ") == true, "\(body)")
        world.memory = room
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-6"])
    }

    @Test("One that does not come is given up for the next one, elsewhere, and later each time")
    func twice() async throws {
        let (world, fence) = try await one()
        defer { world.remove() }
        try await lose(4, in: world)
        world.hosts.fault.withLock { $0 = Refusal(.failed, "the disk is broken") }
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        for _ in 0..<3 { _ = try await world.round(under: fence) }
        let host = try #require(try await records(world).placements[try name(6, world)]?.host)
        pass(Replacement.comingMax - .milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-6"])
        pass(.milliseconds(1), in: world)
        world.hosts.fault.withLock { $0 = nil }
        _ = try await world.settle(under: fence)
        let after = try await records(world)
        #expect(
            after.spec?.readers?.last?.cameFor
                == ReaderSuccession(reader: try name(6, world), count: 2, avoided: [host]))
        let next = try #require(after.placements[try name(7, world)]?.host)
        #expect(next != host && after.spec?.readers?.count == 2)
        // It is lost as well, before it had data.
        try await lose(7, in: world)
        _ = try await world.round(under: fence)
        pass(.milliseconds(1_199_999), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-7"])
        pass(.milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(try await readers(world) == ["db-5", "db-8"])
        #expect(try await records(world).spec?.readers?.last?.cameFor?.count == 3)
    }
}
