import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgresControl

@Suite("What a host takes from a reader") struct ReaderDoorTests {
    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    private func name(_ number: Int) throws -> MemberName { try MemberName("db-\(number)") }

    private func code(_ body: () async throws -> Void) async -> Refusal.Code? {
        do { try await body() } catch { return (error as? Refusal)?.code }
        return nil
    }

    private func hear(
        _ door: MemberRoutesTests.Door, _ world: ClusterWorld, _ isMet: @escaping @Sendable (ClusterSpec) -> Bool
    ) async throws {
        let hears = try await poll(for: .seconds(10)) {
            door.watcher.read { $0.clusters[world.cluster]?.spec }.map(isMet) == true ? true : nil
        }
        #expect(hears == true)
    }

    private func expectNoVoice(
        _ report: MemberReport, _ door: MemberRoutesTests.Door, _ world: ClusterWorld, _ when: String
    ) async throws {
        var report = report
        report.sequence = (try await records(world).reports[report.member]?.sequence ?? 0) + 1
        // A host that is a moment behind the store refuses, and a member asks again.
        let isTaken = try await poll(for: .seconds(10)) { [report] in try await door.report(report) ? true : nil }
        #expect(isTaken == true, "\(when)")
        let stored = try #require(try await records(world).reports[report.member])
        #expect(stored.position == nil && stored.skills == nil && stored.role == .standby, "\(when)")
        #expect(stored.upstream == report.upstream && stored.sequence == report.sequence, "\(when)")
    }

    @Test("Clients are let in to a reader, which changes no rule, and whose word decides nothing")
    func reader() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        try await world.create()
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        for var report in try await records(world).reports.values {
            report.skills = MemberSkill.known
            _ = try await world.store.commit(
                Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, report.member))]))
        }
        _ = try await world.directory.changeReaders(of: world.cluster, .scale([world.hosts.region: 1]))
        #expect(try await world.settle(under: try await world.takeDuty()))
        let placement = try #require(try await records(world).placements[try name(4)])
        let door = MemberRoutesTests.Door(world, placement.machine, try name(4), of: world.cluster)
        #expect(try await door.read().spec.isReader(try name(4)))
        #expect(try await door.read().secrets.ownerPassword.isEmpty)
        try await door.open(true)
        #expect(door.gates.said.withLock { $0 } == [true])
        var report = MemberReport(
            member: try name(4), role: .primary, state: .running, promised: Epoch(9),
            position: Position(epoch: Epoch(9), end: LSN(900)), timeline: 1, replayed: .zero, isStreaming: true,
            lagBytes: 0, lagMilliseconds: 0, skills: MemberSkill.known)
        report.upstream = try name(2)
        try await expectNoVoice(report, door, world, "its host has not heard of the cluster")
        let watch = Task { try await door.watcher.run() }
        defer { watch.cancel() }
        try await hear(door, world) { $0.readers != nil }
        try await expectNoVoice(report, door, world, "its host has heard of it")
        // Its machine lives until its host has heard of it, and taken it apart.
        _ = try await world.directory.changeReaders(of: world.cluster, .remove(try name(4)))
        let late = MemberRoutesTests.Door(
            world, placement.machine, try name(4), of: world.cluster, stateFolder: world.folder + "/late")
        try await expectNoVoice(report, late, world, "it was taken off, and its host has not heard of the cluster")
        try await expectNoVoice(report, door, world, "it was taken off")
        try await hear(door, world) { $0.readers == nil }
        try await expectNoVoice(report, door, world, "its host has heard that it was taken off")
        #expect(try await door.read().secrets.ownerPassword.isEmpty)
        #expect(await code { try await door.open(true) } == .failedPrecondition)
        let records = try await records(world)
        var rule = try #require(records.rule)
        rule.recruitment = Recruitment(epoch: rule.epoch.next, proposer: try name(4), reason: .leaderSilent)
        #expect(await code { _ = try await door.change(rule, over: records.ruleRevision) } == .invalid)
        let beat = Heartbeat(epoch: rule.epoch, leader: try name(4), sequence: 9, isOpen: true)
        #expect(await code { _ = try await door.renew(beat, under: records.ruleRevision) } == .invalid)
    }
}
