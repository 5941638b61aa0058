import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What members say of a store that went back: the word of a few, and of somebody who is root in a member's machine.
@Suite("The word of members against the store") struct ProofTests {
    private func ready() async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create()
        try await world.becomeReady()
        for member in try await rule(world).members { try await say(world, member) { $0.skills = MemberSkill.known } }
        return world
    }

    private func rule(_ world: ClusterWorld) async throws -> ClusterRule {
        try #require(try await world.look().clusters[world.cluster]?.rule)
    }

    private func say(_ world: ClusterWorld, _ member: MemberName, _ change: (inout MemberReport) -> Void) async throws {
        var report = try #require(try await world.look().clusters[world.cluster]?.reports[member])
        change(&report)
        _ = try await world.store.commit(
            Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, member))]))
    }

    /// That others led since, and were open.
    private func claim(_ world: ClusterWorld, _ member: MemberName, epoch: UInt64 = 500) async throws {
        let rule = try await rule(world)
        let reign = Reign(epoch: Epoch(epoch), leader: member, begin: LSN(1))
        try await say(world, member) {
            $0.state = .failed
            $0.promised = Epoch(epoch)
            $0.knowledge = MemberKnowledge(opened: reign, history: rule.history + [reign], timeline: 9, position: nil)
        }
    }

    private func refusal(_ world: ClusterWorld, _ wish: MemberWish? = nil) async throws -> String? {
        do throws(Refusal) {
            if let wish {
                _ = try await world.directory.requestMembers(of: world.cluster, wish)
            } else {
                _ = try await world.directory.requestSwitchover(of: world.cluster, to: nil)
            }
        } catch {
            return "\(error.code) \(error.message)"
        }
        return nil
    }

    @Test("What one member says forbids nothing that the others can do, and its own removal least of all")
    func oneWord() async throws {
        let world = try await ready()
        defer { world.remove() }
        let names = try await rule(world).members
        for epoch in [UInt64(500), .max] {
            try await claim(world, names[2], epoch: epoch)
            #expect(try await refusal(world) == nil)
            _ = try await world.directory.requestRestart(
                of: world.cluster, names[1], handsOver: true, within: .seconds(60))
            try await world.directory.cancelRestart(of: world.cluster)
            for wish in [MemberWish.remove(names[2]), .replace(names[2], nil, nil), .remove(names[1])] {
                let words = try await refusal(world, wish)
                #expect(words?.contains("gone back") != true, "\(wish): \(words ?? "")")
                try await world.directory.cancelChange(of: world.cluster)
                try await change(world) {
                    $0.change = nil
                    $0.switchover = nil
                }
                try await forgetComers(world)
            }
        }
    }

    private func change(_ world: ClusterWorld, _ change: (inout ClusterRule) -> Void) async throws {
        var rule = try await rule(world)
        change(&rule)
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
    }

    /// As if nobody had been asked for.
    private func forgetComers(_ world: ClusterWorld) async throws {
        var spec = try #require(try await world.look().clusters[world.cluster]?.spec)
        let names = try await rule(world).members
        spec.members.removeAll { !names.contains($0.name) }
        _ = try await world.store.commit(Transaction(then: [try .put(spec, at: StoreKeys.clusterSpec(world.cluster))]))
    }

    @Test("Where those who know better are too many for the others, or lead, what is asked for is refused")
    func enoughWords() async throws {
        for places in [[1, 2], [0]] {
            let world = try await ready()
            defer { world.remove() }
            let names = try await rule(world).members
            for place in places { try await claim(world, names[place], epoch: UInt64(500 + place)) }
            for wish in [nil, MemberWish.add(world.hosts.region, nil), .remove(names[0])] {
                let words = try await refusal(world, wish)
                #expect(
                    words?.contains("roost pg recover") == true, "\(places) \(String(describing: wish)): \(words ?? "")"
                )
            }
        }
        // Known of a change of members alone: it has promised no more than the store says.
        let world = try await ready()
        defer { world.remove() }
        let rule = try await rule(world)
        try await change(world) {
            $0.recruitment = Recruitment(epoch: Epoch(4), proposer: rule.members[2], reason: .leaderSilent)
        }
        for member in rule.members[..<2] {
            try await say(world, member) {
                var later = rule
                later.changes = 1
                $0.knowledge = MemberKnowledge(
                    opened: nil, history: rule.history, timeline: nil, position: nil, membership: Membership(of: later))
            }
        }
        #expect(try await world.look().clusters[world.cluster]?.membersWithProof == Array(rule.members[..<2]))
        #expect(try await refusal(world)?.contains("roost pg recover") == true)
    }

    @Test("Who was away while a rule was put right, and has promised more, takes part again when that is asked for")
    func promiseAlone() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        try await say(world, before.members[2]) {
            $0.state = .failed
            $0.promised = Epoch(9)
            $0.knowledge = MemberKnowledge(
                opened: before.history.last, history: before.history, timeline: nil, position: nil)
        }
        // The leader lets clients in all the time.
        let voices = ClusterVoices(members: Set(before.members), isLeaderRenewing: true)
        let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
        let proposal = try #require(body.proposal, "\(body)")
        #expect(body.isNeeded && proposal.calls == Epoch(10) && proposal.source == nil && proposal.strangers.isEmpty)
        let wish = RecoverBody(revision: body.revision, proposal: proposal)
        try await world.directory.recover(world.cluster, as: wish, hearing: voices)
        let after = try await rule(world)
        #expect(after.history == before.history && after.leader == before.leader && after.members == before.members)
        #expect(after.recruitment?.epoch == Epoch(10))
        // What it said of the former rule is not said of this one.
        #expect(try await world.look().clusters[world.cluster]?.membersWithProof == [])
    }

    @Test("A rule that its members know to be of other members is not offered, and those that came are shown")
    func otherMembers() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        let comer = try MemberName("db-4")
        var later = before
        later.members = [before.members[0], before.members[1], comer]
        later.changes = 2
        for member in before.members[..<2] {
            try await say(world, member) {
                $0.state = .failed
                $0.knowledge = MemberKnowledge(
                    opened: nil, history: before.history, timeline: nil, position: nil,
                    membership: Membership(of: later))
            }
        }
        try await closeLeader(world)
        let voices = ClusterVoices(members: Set(before.members))
        let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
        #expect(
            body.proposal == nil && body.obstacle?.contains("a newer copy of the store is needed") == true, "\(body)")
        #expect(body.members.map(\.name) == before.members + [comer] && body.needed == 2)
        #expect(body.members.map(\.mute) == [nil, nil, "no member by now", "not heard"], "\(body.members)")
        #expect(body.isNeeded)
    }

    @Test("Why the word of one that is heard does not count is said")
    func muteness() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        // Nobody says that the store has gone back: then whose word would count is no question.
        let well = try await world.directory.recovery(
            of: world.cluster, hearing: ClusterVoices(members: Set(before.members[1...])))
        #expect(!well.isNeeded && well.members.allSatisfy { $0.mute == nil }, "\(well)")
        #expect(well.members.map(\.isHeard) == [false, true, true])
        try await closeLeader(world)
        try await claim(world, before.members[1], epoch: 2)
        // Its volume may be as new as what the store has lost.
        try await say(world, before.members[2]) { $0.keptSince = .first }
        let body = try await world.directory.recovery(
            of: world.cluster, hearing: ClusterVoices(members: Set(before.members[1...])))
        #expect(
            body.members.map(\.mute) == [
                "not heard", nil, "it has its volume since epoch 1, which may be after what the store has lost",
            ])
        #expect(body.obstacle?.contains("db-3 (it has its volume since epoch 1") == true, "\(body)")
        // A leader may have let clients in since it said how far it is.
        try await say(world, before.members[2]) { $0.keptSince = Epoch.none }
        let heard = Set(before.members[1...])
        for settled in [[], [before.members[1]], [before.members[2]]] as [Set<MemberName>] {
            let voices = ClusterVoices(members: heard, settled: settled)
            let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
            // Who has proof has taken nothing since.
            #expect((body.proposal != nil) == settled.contains(before.members[2]), "\(body)")
            if body.proposal == nil { #expect(body.obstacle?.contains("has to say once more") == true, "\(body)") }
        }
    }

    private func closeLeader(_ world: ClusterWorld) async throws {
        let rule = try await rule(world)
        let beat = Heartbeat(epoch: rule.epoch, leader: rule.leader, sequence: 2, isOpen: false)
        _ = try await world.store.commit(
            Transaction(then: [try .put(beat, at: StoreKeys.clusterHeartbeat(world.cluster))]))
    }

    @Test("A number beyond all counting is nobody's proof, and ends nothing")
    func beyondCounting() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        try await claim(world, before.members[2], epoch: .max)
        let body = try await world.directory.recovery(
            of: world.cluster, hearing: ClusterVoices(members: Set(before.members)))
        #expect(!body.isNeeded && body.proposal == nil && body.obstacle?.contains("no member that is heard") == true)
    }
}
