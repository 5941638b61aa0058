import RoostModel
import Testing

@testable import RoostPlans

@Suite("Leading from home") struct HomecomingTests {
    private let members: [MemberName]
    private let spec: ClusterSpec
    private let rule: ClusterRule

    /// At home is `db-3`; `db-1` leads.
    init() throws {
        members = try (1...3).map { try MemberName("db-\($0)") }
        let regions = try ["iad", "sin", "ams"].map { try RegionCode($0) }
        spec = ClusterSpec(
            name: try AppName("db"), address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1),
            guest: MachineGuest(), image: "dir:/image",
            members: zip(members, regions).map { .init(name: $0, region: $1) }, createdAt: 1, survive: .region,
            home: regions[2])
        rule = ClusterRule(
            epoch: Epoch(2), leader: members[0], members: members, confirmations: 1,
            history: [Reign(epoch: Epoch(2), leader: members[0], begin: .zero)])
    }

    private func leader(
        _ spec: ClusterSpec? = nil, _ rule: ClusterRule? = nil, without missing: MemberName? = nil, isOpen: Bool = true,
        isBusy: Bool = false
    ) -> MemberName? {
        Homecoming.leader(
            of: spec ?? self.spec, under: rule ?? self.rule, confirming: Set(members.filter { $0 != missing }),
            isOpen: isOpen, isBusy: isBusy)
    }

    @Test("The member at home leads again, when nothing is against it")
    func home() throws {
        #expect(leader() == members[2])
        var atHome = rule
        atHome.leader = members[2]
        #expect(leader(nil, atHome) == nil)
        var anywhere = spec
        anywhere.home = nil
        #expect(leader(anywhere) == nil)
        var empty = spec
        empty.members[2].region = try RegionCode("sin")
        #expect(leader(empty) == nil, "nobody is at home")
    }

    @Test("Who lags, is away, or is worked on has time")
    func obstacles() throws {
        #expect(leader(without: members[2]) == nil)
        #expect(leader(without: members[1]) == nil, "the cluster is not whole")
        #expect(leader(isOpen: false) == nil)
        #expect(leader(isBusy: true) == nil)
        var other = rule
        other.switchover = SwitchoverRequest(id: "01J", target: nil)
        #expect(leader(nil, other) == nil)
        other.switchover?.refusal = "it lags"
        #expect(leader(nil, other) == members[2], "a wish that was refused is over")
        other.recruitment = Recruitment(epoch: Epoch(3), proposer: members[1], reason: .leaderSilent)
        #expect(leader(nil, other) == nil)
        var changing = rule
        changing.change = MemberChange(id: "01J", steps: [.init(.remove, members[1])])
        #expect(leader(nil, changing) == nil)
    }

    @Test("Who was made the leader by hand stays it until there is another one, which a failover has made")
    func ledAway() throws {
        var asked = spec
        asked.ledAway = LedAway(epoch: Epoch(2), target: members[1])
        #expect(leader(asked) == members[2], "it has come to nothing")
        func reigns(_ leaders: Int...) -> ClusterRule {
            var rule = rule
            for (index, leader) in leaders.enumerated() {
                rule.epoch = Epoch(3 + UInt64(index))
                rule.leader = members[leader]
                rule.history.append(Reign(epoch: rule.epoch, leader: rule.leader, begin: .zero))
            }
            return rule
        }
        #expect(leader(asked, reigns(1)) == nil)
        #expect(leader(asked, reigns(1, 0)) == members[2] && leader(asked, reigns(0, 1)) == members[2])
        #expect(leader(asked, reigns(1, 2, 0)) == members[2])
        // Named again, it is no other one, however often; and nobody else's reign in between is forgotten.
        #expect(leader(asked, reigns(1, 1)) == nil && leader(asked, reigns(1, 1, 1)) == nil)
        #expect(leader(asked, reigns(1, 1, 0)) == members[2] && leader(asked, reigns(1, 0, 1)) == members[2])
        #expect(leader(asked, reigns(0)) == members[2], "not whom somebody asked for")
        asked.ledAway?.target = nil
        #expect(leader(asked, reigns(0)) == nil)
        asked.ledAway = nil
        #expect(leader(asked, reigns(1)) == members[2])
    }

    @Test(
        "A wish that has come to nothing is over before another leads, which then is nobody's wish",
        arguments: [false, true])
    func vainWish(hasTarget: Bool) throws {
        let target = hasTarget ? members[1] : nil
        var asked = spec
        asked.ledAway = LedAway(epoch: rule.epoch, target: target)
        let away = try #require(asked.ledAway)
        var wished = rule
        wished.switchover = SwitchoverRequest(id: "01J", target: target)
        #expect(!Homecoming.hasFailed(away, under: wished), "it has not been answered")
        var called = rule
        called.recruitment = Recruitment(epoch: Epoch(3), proposer: members[0], reason: .switchover, target: target)
        #expect(!Homecoming.hasFailed(away, under: called), "it is being carried out")
        var followed = rule
        (followed.epoch, followed.leader) = (Epoch(3), members[1])
        followed.history.append(Reign(epoch: Epoch(3), leader: members[1], begin: .zero))
        #expect(!Homecoming.hasFailed(away, under: followed) && leader(asked, followed) == nil, "it was carried out")
        var refused = wished
        refused.switchover?.refusal = "it lags"
        #expect(Homecoming.hasFailed(away, under: refused))
        #expect(Homecoming.hasFailed(away, under: rule), "it was taken away")
        asked.ledAway = nil
        #expect(leader(asked, followed) == members[2] && !Homecoming.isLedByHand(asked, followed))
    }
}
