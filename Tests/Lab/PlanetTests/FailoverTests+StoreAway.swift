import Glibc
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

extension FailoverTests {
    /// A busy computer takes its time for a row; a lease would be over after more, and a minute is ten of them.
    private static let pauseMax: Int64 = 5000
    /// Some seconds on a busy computer, and never as long as the store is away.
    private static let electionMax: Int64 = 20_000

    /// No member of etcd answers. Rows go on; a standby's machine starts anew and confirms again, as is seen by the other one's
    /// host standing still.
    @Test func theStoreIsAwayForAMinuteAndAStandbyStartsAnew() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let standbys = old.members.filter { $0.name != old.leader }
            let first = try #require(standbys.first?.host).text
            let second = try #require(standbys.last?.host).text
            let stores = planet.plan.hosts.filter(\.isStoreMember).map(\.name.text)
            // Whatever becomes of the test: what stands still is no fault that is healed.
            defer { for host in stores { _ = try? planet.signal(SIGCONT, process: "etcd", on: host) } }
            for host in stores { try planet.signal(SIGSTOP, process: "etcd", on: host) }
            let away = now()
            try await writers.waitForRows(300, within: .seconds(60))
            let before = try Set(planet.processes(named: "postgres", on: first))
            try planet.signal(SIGKILL, process: "roost-pg", on: first)
            let isUp = try await poll(for: .seconds(60), every: .milliseconds(250)) { () -> Bool? in
                // None is an error there.
                let present = Set((try? planet.processes(named: "postgres", on: first)) ?? [])
                return !present.isEmpty && present.isDisjoint(with: before) ? true : nil
            }
            #expect(isUp == true, "a standby whose machine starts without the store starts its Postgres")
            let isLong = try await poll(for: .seconds(90), every: .milliseconds(250)) {
                now() - away >= 60_000 ? true : nil
            }
            #expect(isLong == true)
            let pause = Self.longestPause(of: writers, from: away, to: now())
            #expect(pause < Self.pauseMax, "no row was confirmed for \(pause) ms while the store was away")
            try await planet.freezeHost(second)
            try await writers.waitForRows(100, within: .seconds(60))
            try await planet.thawHost(second)
            for host in stores { try planet.signal(SIGCONT, process: "etcd", on: host) }
            let new = try await cluster.wait(for: "the store to be back", within: .seconds(120)) { $0.status == .ready }
            #expect(new.leader == old.leader && new.epoch == old.epoch)
        }
    }

    /// No member of etcd answers, and the primary's host is lost meanwhile: members choose by themselves, edges hear of it, and the
    /// store when it is back.
    @Test func theStoreIsStoppedAndTheHostOfThePrimaryIsLost() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let host = try #require(try await cluster.leader().host).text
            let stores = planet.plan.hosts.filter(\.isStoreMember).map(\.name.text)
            defer { for store in stores { _ = try? planet.signal(SIGCONT, process: "etcd", on: store) } }
            for store in stores { try planet.signal(SIGSTOP, process: "etcd", on: store) }
            let away = now()
            // Longer than a lease, and than anything that could still be on its way.
            let isLong = try await poll(for: .seconds(60), every: .milliseconds(250)) {
                now() - away >= 15_000 ? true : nil
            }
            #expect(isLong == true)
            let lost = now()
            try await planet.killHost(host)
            try await writers.waitForRows(300, within: .seconds(60))
            let pause = Self.longestPause(of: writers, from: lost, to: now())
            #expect(pause < Self.electionMax, "no row was confirmed for \(pause) ms after the primary was lost")
            for store in stores where store != host { try planet.signal(SIGCONT, process: "etcd", on: store) }
            let new = try await cluster.wait(for: "the store to hear of it", within: .seconds(120)) {
                $0.isServing && $0.epoch > old.epoch
            }
            #expect(new.leader != old.leader)
            try await writers.waitForRows(100, within: .seconds(60))
            try await planet.startHost(host)
            try await cluster.wait(for: "the old primary to follow", within: .seconds(120)) {
                $0.status == .ready && $0.leader == new.leader
            }
        }
    }

    /// In milliseconds, of all writers together.
    private static func longestPause(of writers: Writers, from begin: Int64, to end: Int64) -> Int64 {
        let moments = writers.confirmed.compactMap(\.confirmed_ms).filter { (begin...end).contains($0) }.sorted()
        return zip([begin] + moments, moments + [end]).map { $1 - $0 }.max() ?? end - begin
    }
}
