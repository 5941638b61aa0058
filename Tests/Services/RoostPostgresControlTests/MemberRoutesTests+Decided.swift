import RoostLinux
import RoostModel
import RoostPlanet
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgresControl

extension MemberRoutesTests {
    @Test("Of a leader that members have chosen edges are told where the rule lets them choose, and of no other")
    func decidedByMembers() async throws {
        let world = try await ready()
        defer { world.remove() }
        let records = try await records(world)
        var rule = try #require(records.rule)
        let door = try await door(world, 2)
        let following = Task { try await door.watcher.run() }
        defer { following.cancel() }
        func hear(_ rule: ClusterRule) async throws {
            let revision = try await write(world, rule)
            let isHeard: Bool? = try await poll(for: .seconds(10), every: .milliseconds(5)) {
                door.watcher.read { $0.clusters[world.cluster]?.ruleRevision } == revision ? true : nil
            }
            try #require(isHeard == true)
        }
        let next = Heartbeat(epoch: rule.epoch.next, leader: try name(2), sequence: 1, isOpen: true)
        func told(_ beat: Heartbeat) async throws -> Bool {
            door.gates.told.withLock { $0 = [] }
            try await door.hold(LeaseWord(epoch: beat.epoch, ageMilliseconds: 0, heartbeat: beat))
            return door.gates.told.withLock { $0 == [beat] }
        }
        try await hear(rule)
        #expect(try await !told(next), "the rule lets the store decide")
        rule.majority = true
        try await hear(rule)
        #expect(try await told(next))
        var later = next
        later.epoch = Epoch(rule.epoch.number + 1 << 40)
        #expect(try await !told(later))
        var another = next
        another.leader = try name(3)
        #expect(
            await code {
                try await door.hold(LeaseWord(epoch: another.epoch, ageMilliseconds: 0, heartbeat: another))
            } == .invalid)
        // They are called for a later one.
        rule.recruitment = Recruitment(
            epoch: Epoch(rule.epoch.number + 2), proposer: try name(1), reason: .leaderSilent)
        try await hear(rule)
        #expect(try await !told(next))
    }
}
