import RoostLinux
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Lost members that are replaced though nobody asks, and what is done about it when somebody dies meanwhile.
@Suite("Lost members are replaced") struct ReplacementTests {
    private static let callsMax = 40

    /// Three members on three of six hosts, of which all are heard.
    private func ready() async throws -> ClusterWorld {
        let world = try await ClusterWorld(hosts: 6)
        try await world.create()
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        let reports = try await records(world).reports
        let puts = try reports.values.map { report in
            var report = report
            report.skills = MemberSkill.known
            return try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
        hear(world, ["db-1", "db-2", "db-3"])
        return world
    }

    private func hear(_ world: ClusterWorld, _ members: [String]) {
        world.ear.voices.withLock {
            $0 = ClusterVoices(members: Set(members.compactMap { try? MemberName($0) }), isLeaderRenewing: true)
        }
    }

    private func pass(_ time: Duration, in world: ClusterWorld) { world.ear.now.withLock { $0 = $0 + time } }

    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    private func rule(_ world: ClusterWorld) async throws -> ClusterRule { try #require(try await records(world).rule) }

    private func write(_ world: ClusterWorld, _ body: (inout ClusterRule) throws -> Void) async throws {
        var rule = try await rule(world)
        try body(&rule)
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
    }

    /// As the leader does it.
    private func takeStep(_ world: ClusterWorld) async throws {
        try await write(world) { rule in
            let step = try #require(rule.change?.current)
            rule.change?.left.removeFirst()
            rule.change?.done.append(step)
            if step.kind == .add {
                rule.members.append(step.member)
            } else {
                rule.members.removeAll { $0 == step.member }
            }
            rule.confirmations = rule.members.count / 2
            rule.changes = (rule.changes ?? 0) + 1
        }
    }

    /// The host of `db-3` is lost, and everything that was on it.
    private func lose(_ member: String, in world: ClusterWorld) async throws -> HostName {
        let name = try MemberName(member)
        let host = try #require(try await records(world).placements[name]?.host)
        world.hosts.away.withLock { _ = $0.insert(host) }
        world.ear.voices.withLock { _ = $0?.members.remove(name) }
        return host
    }

    private func left(_ world: ClusterWorld) async throws -> [String] {
        (try await rule(world).change?.left ?? []).map { "\($0.kind) \($0.member)" }
    }

    @Test("A member that stays lost with its host is replaced elsewhere, and cleared away when its host is back")
    func replaced() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let lost = try await lose("db-3", in: world)
        #expect(try await !world.round(under: fence))
        pass(.milliseconds(599_999), in: world)
        #expect(try await !world.round(under: fence))
        #expect(try await rule(world).change == nil)
        pass(.milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        #expect(try await left(world) == ["add db-4", "remove db-3"])
        #expect(try await rule(world).change?.isAutomatic == true)
        let id = try PlanetOperationID(try #require(try await rule(world).change?.id))
        let began = try #require(try await world.operations.find(id))
        #expect(began.kind == .changeMembers && began.state == .running)
        #expect(
            began.steps.map(\.name) == ["db-3 and its host \(lost) were not heard from for 10m: it is replaced"])
        _ = try await world.settle(under: fence)
        let comer = try #require(try await records(world).placements[try MemberName("db-4")])
        #expect(comer.host != lost)
        for _ in 0..<2 { try await takeStep(world) }
        hear(world, ["db-1", "db-2", "db-4"])
        _ = try await world.settle(under: fence)
        try await world.keepOperations(under: fence)
        #expect(try await records(world).placements[try MemberName("db-3")] != nil, "its host has not answered")
        world.hosts.away.withLock { $0 = [] }
        #expect(try await world.settle(under: fence))
        try await world.keepOperations(under: fence)
        #expect(try await world.operations.find(id)?.state == .succeeded)
        #expect(world.machines.count == 3 && world.volumes.count == 3)
        #expect(!world.machines.contains { $0.host == lost })
        #expect(try await records(world).spec?.members.map(\.name.text) == ["db-1", "db-2", "db-4"])
    }

    @Test("Cut off at any call, by hosts that die one after the other, one is replaced by one", arguments: 1...callsMax)
    func cutAnywhere(call: Int) async throws {
        for cut in [Cuts.Cut.before(call), .after(call)] {
            let world = try await ready()
            defer { world.remove() }
            world.cuts.begin(cut)
            let lost = try await lose("db-3", in: world)
            var steps = 0
            for _ in 0..<12 {
                // Each look is another host's, which has seen nothing before it.
                world.reconciler.forgetWatch()
                let fence = try await world.takeDuty()
                _ = try await world.round(under: fence)
                pass(.seconds(600), in: world)
                _ = try await world.round(under: fence)
                let rule = try await rule(world)
                let comer = rule.change?.current?.member
                let hasPlace = try await records(world).placements[comer ?? rule.leader] != nil
                if rule.change?.current != nil, hasPlace, steps < 2 {
                    try await takeStep(world)
                    steps += 1
                }
            }
            let after = try await rule(world)
            #expect(after.members.map(\.text) == ["db-1", "db-2", "db-4"])
            #expect(try await world.look().operations.values.count { $0.kind == .changeMembers } == 1)
            world.hosts.away.withLock { $0 = [] }
            hear(world, ["db-1", "db-2", "db-4"])
            #expect(try await world.settle(under: try await world.takeDuty()))
            #expect(world.machines.count == 3 && world.volumes.count == 3)
            #expect(!world.machines.contains { $0.host == lost })
        }
    }

    @Test("Who is heard again before the rule names the other is left in peace, and the other goes")
    func takenBack() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try await lose("db-3", in: world)
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        _ = try await world.settle(under: fence)
        #expect(world.machines.count == 4)
        let id = try PlanetOperationID(try #require(try await rule(world).change?.id))
        world.hosts.away.withLock { $0 = [] }
        _ = try await world.round(under: fence)
        #expect(try await rule(world).change?.refusal == nil, "its host answers, and it has not said anything")
        hear(world, ["db-1", "db-2", "db-3"])
        #expect(try await world.settle(under: fence))
        #expect(try await rule(world).change?.refusal == "db-3 is back")
        #expect(world.machines.count == 3)
        #expect(try await records(world).spec?.members.map(\.name.text) == ["db-1", "db-2", "db-3"])
        try await world.keepOperations(under: fence)
        let ended = try await world.operations.find(id)
        #expect(ended?.state == .failed && ended?.result?.contains("db-3 is back") == true)
    }

    @Test("Who somebody hears is not lost: by the store, by the leader's stream, or its host", arguments: 0..<4)
    func heard(_ by: Int) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let host = try await lose("db-3", in: world)
        switch by {
        case 0: hear(world, ["db-1", "db-2", "db-3"])
        case 1:
            var beat = try #require(try await records(world).heartbeat)
            beat.standbys = try ["db-2", "db-3"].map {
                StandbyView(member: try MemberName($0), isConfirming: true, behindBytes: 0)
            }
            _ = try await world.store.commit(
                Transaction(then: [try .put(beat, at: StoreKeys.clusterHeartbeat(world.cluster))]))
        case 2: world.hosts.away.withLock { _ = $0.remove(host) }
        // A host that does not hear the cluster knows nothing of it.
        default: world.ear.voices.withLock { $0 = nil }
        }
        for _ in 0..<3 {
            #expect(try await world.round(under: fence))
            pass(.seconds(600), in: world)
        }
        #expect(try await rule(world).change == nil)
    }

    @Test("A pause holds it up, and the time counts from its end; never means never")
    func held() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.directory.pause(world.cluster, for: .seconds(3600))
        _ = try await lose("db-3", in: world)
        for _ in 0..<3 {
            _ = try await world.round(under: fence)
            pass(.seconds(600), in: world)
        }
        #expect(try await rule(world).change == nil)
        try await write(world) { $0.pause = nil }
        _ = try await world.round(under: fence)
        #expect(try await rule(world).change == nil)
        _ = try await world.directory.replace(after: .never, in: world.cluster)
        pass(.seconds(600), in: world)
        _ = try await world.round(under: fence)
        #expect(try await rule(world).change == nil)
        #expect(
            try await world.directory.replace(after: .after(.seconds(30)), in: world.cluster).replaceAfter != .never)
        _ = try await world.round(under: fence)
        #expect(try await left(world).count == 2)
    }

    @Test(
        "A pause holds it up for as long as it was seen to last, whatever the clock on the wall says",
        arguments: [-5, 5])
    func heldByTheOwnClock(ahead: Int64) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let pause = try await pause(world, ahead)
        world.ear.voices.withLock { $0?.terms = [TermLeft(term: pause, left: .seconds(3000))] }
        _ = try await lose("db-3", in: world)
        for _ in 0..<3 {
            _ = try await world.round(under: fence)
            pass(.seconds(600), in: world)
        }
        #expect(try await rule(world).change == nil)
        world.ear.voices.withLock { $0?.terms = [TermLeft(term: pause, left: .zero)] }
        _ = try await world.round(under: fence)
        #expect(try await rule(world).change == nil)
        pass(.seconds(600), in: world)
        _ = try await world.round(under: fence)
        #expect(try await left(world).count == 2)
    }

    /// Asked for at a host whose clock is so many hours behind that of the host with the duty.
    private func pause(_ world: ClusterWorld, _ hours: Int64) async throws -> WishTerm {
        let pause = WishTerm(beganAt: WallClock.milliseconds() - hours * 3_600_000, length: .seconds(3600))
        try await write(world) { $0.pause = pause }
        return pause
    }

    @Test("What was decided by an old view changes nothing, nor does a host that has lost the duty")
    func oldView() async throws {
        let world = try await ready()
        defer { world.remove() }
        let old = try await world.takeDuty()
        _ = try await lose("db-3", in: world)
        _ = try await world.round(under: old)
        pass(.seconds(600), in: world)
        let seen = try await world.look()
        let new = try await world.takeDuty()
        _ = try await world.round(under: old, seeing: seen)
        #expect(try await rule(world).change == nil)
        try await write(world) { $0.pause = WishTerm(beganAt: 0, length: .seconds(1)) }
        _ = try await world.round(under: new, seeing: seen)
        #expect(try await rule(world).change == nil)
        _ = try await world.round(under: new)
        #expect(try await left(world).count == 2)
    }

    @Test("Too many lost hosts hold up everybody, and the status says so")
    func brake() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try await lose("db-3", in: world)
        let free = try #require(
            Set(world.names).subtracting(try await records(world).placements.values.map(\.host)).min())
        world.hosts.away.withLock { _ = $0.insert(free) }
        _ = try await world.round(under: fence)
        pass(.seconds(600), in: world)
        let planet = try await world.look()
        let reachable = Set(world.names).subtracting(world.hosts.away.withLock { $0 })
        _ = world.reconciler.watch(in: planet, reachable: reachable)
        let plan = try #require(world.reconciler.plan(for: world.cluster, in: planet, reachable: reachable))
        #expect(plan.steps.isEmpty)
        #expect(plan.obstacles.contains { $0.contains("2 of 6 hosts are lost") })
        world.hosts.away.withLock { _ = $0.remove(free) }
        _ = try await world.round(under: fence)
        #expect(try await left(world).count == 2)
    }

    /// All are in one region: home is where db-2 is said to be.
    private func leaveHome(_ world: ClusterWorld) async throws -> ClusterSpec {
        let key = StoreKeys.clusterSpec(world.cluster)
        var spec = try #require(try await records(world).spec)
        let home = try RegionCode("iad")
        (spec.survive, spec.home) = (.region, home)
        spec.members[1].region = home
        _ = try await world.store.commit(Transaction(then: [try .put(spec, at: key)]))
        return spec
    }

    @Test("In a pause a leader stays away from home, whatever the clock on the wall says", arguments: [-5, 5])
    func awayInAPause(ahead: Int64) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try await leaveHome(world)
        _ = try await world.round(under: fence)
        pass(Homecoming.patience, in: world)
        // It comes after the last look.
        let pause = try await pause(world, ahead)
        world.ear.voices.withLock { $0?.terms = [TermLeft(term: pause, left: .seconds(3000))] }
        for _ in 0..<3 {
            _ = try await world.round(under: fence)
            pass(Homecoming.patience, in: world)
        }
        #expect(try await rule(world).switchover == nil)
        world.ear.voices.withLock { $0?.terms = [TermLeft(term: pause, left: .zero)] }
        _ = try await world.round(under: fence)
        pass(Homecoming.patience, in: world)
        _ = try await world.round(under: fence)
        #expect(try await rule(world).switchover != nil)
    }

    @Test("A leader that is away from home hands over, once it was well for long enough, and not again at once")
    func homecoming() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let spec = try await leaveHome(world)
        _ = try await world.round(under: fence)
        pass(Homecoming.patience - .milliseconds(1), in: world)
        #expect(try await world.round(under: fence))
        #expect(try await rule(world).switchover == nil)
        pass(.milliseconds(1), in: world)
        _ = try await world.round(under: fence)
        let wish = try #require(try await rule(world).switchover)
        #expect(wish.target == spec.members[1].name)
        let operation = try await world.operations.find(try PlanetOperationID(wish.id))
        #expect(operation?.kind == .switchover && operation?.steps.count == 1)
        try await write(world) { $0.switchover?.refusal = "it lags" }
        for _ in 0..<3 { #expect(try await world.round(under: fence)) }
        #expect(try await rule(world).switchover?.id == wish.id)
        for _ in 0..<2 {
            pass(Homecoming.patience, in: world)
            _ = try await world.round(under: fence)
        }
        #expect(try await rule(world).switchover?.id != wish.id)
        // The one that gave way says why, though nobody has looked at it in between.
        let former = try await world.operations.find(try PlanetOperationID(wish.id))
        #expect(former?.state == .failed && former?.result == "it lags")
    }

    @Test("A switchover that was asked for and refused keeps no later leader away from home", arguments: [false, true])
    func vainWish(hasTarget: Bool) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let members = try await leaveHome(world).members.map(\.name)
        let epoch = try await rule(world).epoch
        _ = try await world.directory.requestSwitchover(of: world.cluster, to: hasTarget ? members[2] : nil)
        _ = try await world.round(under: fence)
        #expect(try await records(world).spec?.ledAway?.epoch == epoch, "it was not answered yet")
        try await write(world) { $0.switchover?.refusal = "it lags" }
        let planet = try await world.look()
        let watched = world.reconciler.watch(in: planet, reachable: Set(world.names))
        #expect(watched.contains(world.cluster))
        // A rule that has moved since does not say so.
        try await write(world) { $0.switchover?.refusal = "it lags behind" }
        let step = ClusterPlan.Step.letGoHome(epoch)
        #expect(try await !world.reconciler.carryOut(step, for: world.cluster, in: planet, fence: fence))
        _ = try await world.round(under: fence)
        #expect(try await records(world).spec?.ledAway == nil)
        // The next leader is a failover's.
        try await world.becomeReady(leader: 3, epoch: epoch.next)
        for _ in 0..<2 {
            _ = try await world.round(under: fence)
            pass(Homecoming.patience, in: world)
        }
        _ = try await world.round(under: fence)
        #expect(try await rule(world).switchover?.target == members[1])
    }
}
