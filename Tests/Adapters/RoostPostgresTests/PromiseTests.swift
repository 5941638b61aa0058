import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// The whole of `roost-pg` where its promises do not come to the disk.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PromiseTests {
    @Test func aMemberThatCannotPromiseAnswersNothingSaysWhyAndGoesOnWhenItCan() async throws {
        try await ClusterTests.with("promise") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            let epoch = try #require(cluster.store.rule?.epoch)
            let mute = try #require(TestCluster.numbers.first { $0 != first })
            let name = try TestCluster.name(mute)
            let process = try #require(cluster.supervisor(mute)?.member)

            // No file can be opened there.
            let layout = cluster.ground.layout(mute)
            let slots = layout.outside(layout.volume + "/roost-member.slots")
            #expect(rename(slots, slots + ".away") == 0 && mkdir(slots, 0o700) == 0)
            cluster.kill(first)
            let words = try await poll(for: .seconds(30)) { () -> String? in
                guard let report = cluster.store.report(of: name), report.state == .failed else { return nil }
                return report.detail
            }
            #expect(words?.hasPrefix("cannot keep promises") == true, "\(words ?? "")")
            // Without its answer nobody can be chosen, and it has given none.
            #expect(cluster.store.rule?.recruitment != nil && cluster.store.rule?.epoch == epoch)
            #expect(cluster.store.report(of: name)?.promised == epoch)
            #expect(cluster.store.isOpen(name) == false)
            #expect(cluster.supervisor(mute)?.member == process, "it has not begun anew")

            #expect(rmdir(slots) == 0 && rename(slots + ".away", slots) == 0)
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            #expect(try await cluster.query(second, "SELECT row FROM rows") == "1\n")
            #expect(cluster.supervisor(mute)?.member == process)
            try cluster.start(first)
            _ = try await cluster.waitUntilReady(standbys: 2)
        }
    }
}
