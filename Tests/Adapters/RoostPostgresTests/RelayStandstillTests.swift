import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostRelayWire
import RoostWire
import Testing

@testable import RoostPostgres

@Suite(.serialized, .timeLimit(.minutes(10)))
struct RelayStandstillTests {
    /// What a receiver's login at the relay has no bound for: neither libpq nor Postgres ends it.
    @Test func aReceiverThatWaitsAtOneThatDoesNotDieIsEnded() async throws {
        // It stands for one that SIGKILL does not end: the supervisor ends the shell, and the relay stands still with its socket.
        let shell = ["sh", "-c", #"exec 3<&0; "$@" <&3 & wait"#, "relay"]
        try await RelayTests.with("undying", 1...2, shell: shell) { _, members in
            let (m1, m2) = (members[0], members[1])
            try await m2.lead(to: m1, .first, timeline: 1)
            try await m2.member.follow(m1.member, .first)
            try await m2.waitForStream(relayed: true, at: m1, .first)
            let parent = try #require(m2.keeper.process)
            let relay = try #require(Self.child(of: parent))
            defer { kill(relay, SIGKILL) }
            let former = try await m2.member.instance.receivers()
            kill(relay, SIGSTOP)
            for receiver in former { kill(receiver, SIGTERM) }
            let waiting = try await poll(for: .seconds(20)) { () -> pid_t? in
                try await m2.member.instance.receivers().first { !former.contains($0) }
            }
            _ = try #require(waiting, "no other receiver came")
            try await m2.member.waitUntilStreaming()
            #expect(m2.keeper.process != parent)
        }
    }

    private static func child(of process: pid_t) -> pid_t? {
        let text = (try? DurableFile.read("/proc/\(process)/task/\(process)/children")) ?? nil
        return String(decoding: text ?? [], as: UTF8.self).split(whereSeparator: \.isWhitespace).first.flatMap {
            pid_t($0)
        }
    }

    /// Its log ends before the leader's timeline begins: it asks for the old timeline first, and in the same session for the
    /// new one.
    @Test func oneThatLagsFollowsThroughTheTimelinesEnd() async throws {
        try await RelayTests.with("lag", 1...3) { ground, members in
            let (m1, m2, m3) = (members[0], members[1], members[2])
            for standby in [m2, m3] {
                try await standby.member.follow(m1.member, .first)
                try await standby.member.waitUntilStreaming()
            }
            try await RelayTests.write(m1, 1000)
            try m3.member.configure(.standby(upstream: nil))
            try await m3.member.instance.stopFollowing()
            let behind = try await m3.member.instance.endOfLog(within: .seconds(10))
            try await RelayTests.write(m1, 20_000)
            await m1.member.instance.stop(.fast, within: .seconds(10))
            try m2.member.configure(.standby(upstream: nil))
            try await m2.member.instance.stopFollowing()
            let end = try await m2.member.instance.endOfLog(within: .seconds(10))
            #expect(behind.end < end.end && behind.timeline == 1)
            try await m3.lead(
                to: m2, Epoch(2), timeline: 2, held: HeldLog(end: behind.end, timeline: 1, segmentBytes: 4 << 20))
            let names = [m3.member.name]
            try m2.member.configure(.leader(epoch: Epoch(2), standbys: names, confirmations: 1))
            try m2.member.instance.reload()
            try await m3.member.instance.expect(TimelineFork(timeline: 2, begin: end.end))
            try await m3.member.follow(m2.member, Epoch(2))
            _ = try await m2.member.instance.promote(within: .seconds(20))
            try await m2.member.instance.keepSlots(of: Epoch(2), for: names, among: ground.members)
            try await m3.member.waitUntilStreaming()
            _ = try await m2.member.query("SET synchronous_commit = on; INSERT INTO t VALUES (2)", within: .seconds(10))
            try await RelayTests.expectSameLog(of: m2, m3, timeline: 2)
            try await m3.waitForStream(relayed: true, at: m2, Epoch(2))
        }
    }
}
