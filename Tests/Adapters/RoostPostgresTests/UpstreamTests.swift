import RoostFailover
import RoostModel
import RoostRelayWire
import RoostWire
import Testing

@testable import RoostPostgres

/// What the bytes that a relay hands out rest on.
@Suite struct UpstreamTests {
    private let view: ClusterView
    private let source: PostgresSettings.Upstream
    private let fork = TimelineFork(timeline: 3, begin: LSN(0x150_0000))

    init() throws {
        let names = [try MemberName("m1"), try MemberName("m2")]
        var rule = ClusterRule(
            epoch: Epoch(2), leader: names[0], members: names, confirmations: 1, history: [], timeline: 3)
        rule.system = 77
        let address = IPv6Address(high: 0, low: 1)
        let spec = ClusterSpec(
            name: try AppName("orders"), address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test", members: [], createdAt: 0)
        view = ClusterView(
            member: names[1], revision: 1, spec: spec, rule: rule, ruleRevision: 0, heartbeat: nil, placements: [],
            reports: [], secrets: MemberSecrets(ownerPassword: "a", replicationPassword: "b"))
        source = PostgresSettings.Upstream(leader: names[0], address: address, port: 5432, epoch: Epoch(2))
    }

    private func held(_ end: (UInt64, UInt32)?, _ fork: TimelineFork?) -> HeldLog? {
        Operations.upstream(
            source, fork, view, end: end.map { (LSN($0.0), $0.1) }, segmentBytes: 4 << 20)?.held
    }

    @Test func upToTheForkTheLogOfTheParentTimelineIsTheLeaders() {
        let whole = HeldLog(end: LSN(0x150_0000), timeline: 2, segmentBytes: 4 << 20)
        #expect(held((0x150_0000, 2), fork) == whole)
        #expect(held((0x14f_0000, 2), fork)?.end == LSN(0x14f_0000))
    }

    /// It may have branched off before.
    @Test func aLogOfAnotherTimelineProvesNothing() {
        for timeline in [1, 3, 4, UInt32.max] as [UInt32] {
            #expect(held((0x14f_0000, timeline), fork)?.end == .zero, "timeline \(timeline)")
        }
    }

    @Test func whatIsBehindTheForkProvesNothing() {
        #expect(held((0x150_0001, 2), fork)?.end == .zero)
        #expect(held((0x160_0000, 2), fork)?.end == .zero)
    }

    @Test func withoutAForkOrAnEndNothingIsProven() {
        #expect(held((0x14f_0000, 2), nil)?.end == .zero)
        #expect(held(nil, fork)?.end == .zero)
    }

    @Test func aRuleThatSaysLessThanAReceiverAsksLeadsNowhere() {
        for change in [
            { $0.timeline = nil }, { $0.system = nil }, { $0.epoch = Epoch(3) }, { $0.timeline = 4 },
        ] as [(inout ClusterRule) -> Void] {
            var other = view
            if var rule = other.rule {
                change(&rule)
                other.rule = rule
            }
            #expect(Operations.upstream(source, fork, other, end: nil, segmentBytes: nil) == nil)
        }
        #expect(Operations.upstream(source, fork, view, end: nil, segmentBytes: nil)?.stream == "m2.e2")
    }

    @Test func aReaderHasTheMembersOfItsRegionFirstThenAsItsHostMeasures() throws {
        func one(_ name: String, _ region: String) throws -> ClusterSpec.MemberSpec {
            ClusterSpec.MemberSpec(name: try MemberName(name), region: try RegionCode(region))
        }
        var view = view
        view.spec.members = try [one("m1", "fra"), one("m2", "ams"), one("m3", "iad"), one("m5", "sin")]
        view.spec.readers = [try one("m4", "iad")]
        view.member = try MemberName("m4")
        view.nearRegions = try ["sin", "ams"].map { try RegionCode($0) }
        #expect(view.isReader && view.membersByDistance.map(\.text) == ["m3", "m5", "m2", "m1"])
        view.nearRegions = nil
        #expect(view.membersByDistance.map(\.text) == ["m3", "m1", "m2", "m5"])
    }

    /// What was taken off the spec has its place until its host has heard of that.
    @Test func onlyMembersHaveTheirRightsAndNothingThatIsNoneAnyMore() throws {
        func one(_ name: String) throws -> ClusterSpec.MemberSpec {
            ClusterSpec.MemberSpec(name: try MemberName(name), region: try RegionCode("ams"))
        }
        var view = view
        view.spec.members = try [one("m2"), one("m5")]
        view.spec.readers = [try one("m6")]
        view.placements = try (1...7).map { number in
            MemberPlacement(
                member: try MemberName("m\(number)"), host: try HostName("host\(number)"),
                region: try RegionCode("ams"),
                machine: try MachineID("0000000000000\(number)"), volume: try VolumeID("vol_000000000000000\(number)"),
                address: IPv6Address(high: 0, low: UInt64(number)))
        }
        // m1 the rule alone has, m5 comes, m6 reads, m3, m4 and m7 were taken off.
        #expect(view.ofMembers.map(\.member.text) == ["m1", "m2", "m5"])
        #expect(view.otherMembers.map(\.member.text) == ["m1", "m5"])
    }

    @Test func onlyWhatLeavesTheLeaderAloneKeepsFollowing() throws {
        let leader = try MemberName("m1")
        let keeping: [PostgresOperation] = [.follow(leader, epoch: .first, fork: nil), .checkpoint]
        #expect(keeping.allSatisfy { $0.keepsFollowing })
        let leaving: [PostgresOperation] = [
            .sever, .readEnd, .clone(from: leader, epoch: .first), .rewind(to: leader, epoch: .first), .discard,
            .exchange,
            .stop(.fast),
        ]
        #expect(leaving.allSatisfy { !$0.keepsFollowing })
    }
}
