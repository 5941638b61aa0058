import FoundationEssentials
import RoostModel
import RoostTelemetry
import Testing

@testable import RoostBench

@Suite struct BenchTests {
    // MARK: - Statistics

    @Test func theMedianIsTheMiddle() {
        #expect(Statistics.median([]) == nil)
        #expect(Statistics.median([7]) == 7)
        #expect(Statistics.median([9, 1, 5]) == 5)
        #expect(Statistics.median([1, 100, 2, 4]) == 3)
    }

    @Test func aRatioIsThatOfARoundAndNotOfMedians() {
        // The computer is ten times as fast in the second and third round; Roost always needs twice as long.
        #expect(Statistics.medianRatio([200, 20, 20], to: [100, 10, 10]) == 2)
        #expect(Statistics.medianRatio([1, 3, 10], to: [1, 1, 10]) == 1)
        #expect(Statistics.medianRatio([4, 4], to: [0, 2]) == 2, "a round without a peer's figure says nothing")
        #expect(Statistics.medianRatio([4], to: []) == nil)
    }

    @Test func everybodyHasEveryPlaceEquallyOften() {
        let orders = (0..<6).map { Statistics.order(of: 3, inRound: $0) }
        #expect(orders.allSatisfy { $0.sorted() == [0, 1, 2] })
        for place in 0..<3 {
            for contender in 0..<3 { #expect(orders.filter { $0[place] == contender }.count == 2) }
        }
    }

    // MARK: - Rows

    @Test func aGoalIsJudgedByWhatItIsAbout() {
        let slow = BenchRow(
            .machines, "x", .milliseconds, [30, 10, 20], against: .init(name: "peer", values: [10, 10, 10]),
            goal: BenchGoal(.ratio, .atMost, 1.5))
        #expect(slow.figure == 20 && slow.peerFigure == 10 && slow.ratio == 2 && slow.isMet == false)
        let worst = BenchRow(
            .gaps, "x", .milliseconds, [30, 10, 20], .worst, goal: BenchGoal(.figure, .atMost, 30))
        #expect(worst.figure == 30 && worst.ratio == nil && worst.isMet == true)
        #expect(BenchRow(.edge, "x", .perSecond, [1]).isMet == nil)
        let nobody = BenchRow(
            .edge, "x", .perSecond, [1], against: .init(name: "peer", values: []),
            goal: BenchGoal(.ratio, .atLeast, 1))
        #expect(nobody.isMet == nil, "nothing to compare with")
    }

    // MARK: - What programs say

    @Test func readsFio() {
        let output = """
            fio: something about the disk
            {"fio version":"fio-3.33","jobs":[{"jobname":"bench","read":{"iops":0},"write":{"iops":1234.5}}]}
            """
        #expect(SyncedWrites.writesPerSecond(in: output) == 1234.5)
        #expect(SyncedWrites.writesPerSecond(in: "fio: no space") == nil)
    }

    @Test func readsPgbench() {
        let output = """
            number of failed transactions: 0 (0.000%)
            latency average = 0.5 ms
            tps = 1987.651000 (without initial connection time)
            """
        #expect(Pgbench.transactionsPerSecond(in: output) == 1987.651)
        #expect(Pgbench.transactionsPerSecond(in: "connection refused") == nil)
    }

    @Test func readsTheShellsClock() {
        #expect(BenchSite.milliseconds(between: "1700000000.999000 1700000001.000500\n") == 1.5)
        #expect(BenchSite.milliseconds(between: "1700000001.000000 1700000000.000000") == nil)
        #expect(BenchSite.milliseconds(between: "1700000000.9 1700000001.1") == nil)
        #expect(BenchSite.milliseconds(between: "") == nil)
    }

    @Test func readsALoginFromItsURL() throws {
        let login = try #require(
            DatabaseLogin(url: "postgres://postgres:secret@203.0.113.7:5432/postgres?sslmode=require"))
        #expect(login.user == "postgres" && login.password == "secret" && login.database == "postgres")
        #expect(login.address == "203.0.113.7" && login.port == 5432)
        #expect(DatabaseLogin(url: "postgres://postgres@203.0.113.7/postgres") == nil)
        #expect(DatabaseLogin(url: "postgres://postgres:a%20b@203.0.113.7:5432/postgres") == nil)
    }

    @Test func readsTheStepsOfAStart() {
        func exposition(_ create: String, _ more: String = "") -> String {
            """
            # TYPE roost_machine_start_step_seconds histogram
            roost_machine_start_step_seconds_bucket{step="create",le="0.1"} 3
            roost_machine_start_step_seconds_sum{step="create"} \(create)
            roost_machine_start_step_seconds_count{step="create"} 3
            roost_machine_start_step_seconds_sum{step="of a newer version"} 7
            roost_machine_launch_seconds_sum{result="ok"} 9
            \(more)
            """
        }
        let before = StartTrace(exposition: exposition("1.5"))
        let after = StartTrace(
            exposition: exposition("1.75", "roost_machine_start_step_seconds_sum{step=\"attach\"} 0.5"))
        #expect(before.seconds == [.create: 1.5])
        #expect(after.milliseconds(since: before) == [.create: 250, .attach: 500])
        #expect(StartTrace(exposition: "").milliseconds(since: before) == [:])
    }

    // MARK: - Bundles

    @Test func aBundleChangesItsPathsAndItsNetworkOnly() throws {
        let text = """
            {"linux":{"cgroupsPath":"/lab/m1","namespaces":[{"type":"pid"},{"path":"/run/netns/m1","type":"network"}],\
            "z":[1,-2,0.5,true,null]},"root":{"path":"/run/m1/root"}}
            """
        let value = try JSONDecoder().decode(JSONTree.self, from: Data(text.utf8))
        let changed = value.mapped { $0 == "/run/m1/root" ? "/other" : $0 }.withOwnNetwork()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let expected = text.replacing("\"path\":\"/run/netns/m1\",", with: "").replacing("/run/m1/root", with: "/other")
        #expect(String(decoding: try encoder.encode(changed), as: UTF8.self) == expected)
    }
}
