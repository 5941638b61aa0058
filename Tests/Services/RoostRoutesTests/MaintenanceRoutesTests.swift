import Foundation
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Testing

@testable import RoostPostgresControl

/// What operators ask of a cluster that runs, at any host.
@Suite struct MaintenanceRoutesTests {
    /// A cluster whose members have initialised it and say what they can.
    private static func create(at host: HostUnderTest, in planet: PlanetUnderTest) async throws {
        let made = try await host.call(
            "POST /v1/postgres", #"{"name": "orders", "region": "ams", "replica_regions": []}"#)
        #expect(made.status == 201, "\(made.text)")
        let (name, member) = (try AppName("orders"), try MemberName("orders-1"))
        let rule = ClusterRule(
            epoch: .first, leader: member, members: [member], confirmations: 0,
            history: [Reign(epoch: .first, leader: member, begin: .zero)])
        let report = MemberReport(
            member: member, role: .primary, state: .running, promised: .first, position: nil, timeline: 1,
            replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, skills: MemberSkill.known)
        _ = try await planet.store.commit(
            Transaction(then: [
                .put(key: StoreKeys.clusterRule(name), value: Array(try JSONEncoder().encode(rule)), lease: nil),
                .put(key: StoreKeys.report(name, member), value: Array(try JSONEncoder().encode(report)), lease: nil),
            ]))
    }

    @Test("A cluster is paused at one host and resumed at another, as often as somebody likes")
    func pause() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            let early = try await ams.call("PUT /v1/postgres/orders/pause", nil)
            #expect(early.status == 404, "\(early.text)")
            try await Self.create(at: ams, in: planet)
            for body in [nil, "{}", #"{"seconds": 60}"#] {
                let paused = try await ams.call("PUT /v1/postgres/orders/pause", body)
                #expect(paused.status == 200, "\(paused.text)")
                #expect((paused.object["pause"] as? [String: Any])?["ends_at"] is String, "\(paused.text)")
            }
            for (host, isPaused) in [(iad, true), (ams, false)] {
                let resumed = try await host.call("DELETE /v1/postgres/orders/pause")
                #expect(resumed.status == 200 && resumed.object["pause"] == nil, "\(resumed.text)")
                let found = resumed.object["resumed"] as? [String: Any]
                #expect(found?["was_paused"] as? Bool == isPaused, "\(resumed.text)")
                #expect((found?["ends_at"] is String) == isPaused, "\(resumed.text)")
            }
            for seconds in ["0", "-1", "86401", "\(Int64.max)", "1.5", #""1h""#] {
                let refused = try await ams.call("PUT /v1/postgres/orders/pause", #"{"seconds": \#(seconds)}"#)
                #expect(refused.status == 400, "\(seconds): \(refused.text)")
            }
        }
    }

    @Test("A restart is one operation as often as it is asked for, and is taken back")
    func restart() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            try await Self.create(at: host, in: planet)
            let asked = try await host.call("POST /v1/postgres/orders/restart", nil)
            #expect(asked.status == 202 && asked.string("id").count == 26, "\(asked.text)")
            let again = try await host.call("POST /v1/postgres/orders/restart", #"{"member": "orders-1"}"#)
            #expect(again.string("id") == asked.string("id"), "\(again.text)")
            for (body, status) in [
                (#"{"member": "orders-2"}"#, 404), (#"{"member": ""}"#, 400), (#"{"seconds": 0}"#, 400),
                (#"{"hand_over": false}"#, 412), (#"{"switchover": true}"#, 400),
            ] {
                let refused = try await host.call("POST /v1/postgres/orders/restart", body)
                #expect(refused.status == status, "\(body): \(refused.text)")
            }
            for _ in 0..<2 {
                #expect(try await host.call("DELETE /v1/postgres/orders/restart").status == 200)
            }
            let next = try await host.call("POST /v1/postgres/orders/restart", nil)
            #expect(next.status == 202 && next.string("id") != asked.string("id"), "\(next.text)")
        }
    }

    @Test("What members know is shown at any host, and a rule that nobody doubts is not changed")
    func recovery() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"], edges: ["ams1"]) { planet in
            let ams = try planet["ams1"]
            #expect(try await ams.call("GET /v1/postgres/orders/recovery").status == 404)
            try await Self.create(at: ams, in: planet)
            // As a host does that has members, an edge, or the duty to make them.
            ams.watcher.follow([.clusters])
            for host in [ams, try planet["iad1"]] {
                // A host needs a moment to hear of a cluster.
                let answer = try await poll(for: .seconds(10)) {
                    let answer = try await host.call("GET /v1/postgres/orders/recovery")
                    return answer.status == 503 ? nil : answer
                }
                let shown = try #require(answer)
                #expect(shown.status == 200 && shown.object["proposal"] == nil, "\(shown.text)")
                #expect(shown.string("obstacle").contains("no member that is heard says"), "\(shown.text)")
                let revision = try #require(shown.object["revision"] as? Int)
                for (body, status) in [
                    (Self.wish(revision), 412), (Self.wish(revision + 1), 412), ("{}", 400),
                    (#"{"revision": \#(revision)}"#, 400), (#"{"revision": "1"}"#, 400),
                ] {
                    let refused = try await host.call("POST /v1/postgres/orders/recovery", body)
                    #expect(refused.status == status, "\(body): \(refused.text)")
                }
            }
        }
    }

    @Test("A rule that its members know to be old is put right, once, as it was looked at")
    func recovered() async throws {
        try await PlanetUnderTest.run { planet in
            let ams = try planet["ams1"]
            try await Self.create(at: ams, in: planet)
            ams.watcher.follow([.clusters])
            try await Self.learn(of: 3, saying: 1, at: ams.name, in: planet)
            // What the host finds when it begins to hear the cluster may be of anybody, and of any time.
            let found = try await poll(for: .seconds(10)) {
                let answer = try await ams.call("GET /v1/postgres/orders/recovery")
                return (answer.object["members"] as? [[String: Any]])?.first?["proof"] as? Bool == true ? answer : nil
            }
            let first = try #require(found)
            #expect(first.object["proposal"] == nil && first.string("obstacle").contains("heard"), "\(first.text)")
            var sequence: UInt64 = 1
            let answer = try await poll(for: .seconds(10)) {
                sequence += 1
                try await Self.learn(of: 3, saying: sequence, at: ams.name, in: planet)
                let answer = try await ams.call("GET /v1/postgres/orders/recovery")
                return answer.object["proposal"] == nil ? nil : answer
            }
            let shown = try #require(answer)
            let proposal = try #require(shown.object["proposal"] as? [String: Any], "\(shown.text)")
            #expect(proposal["source"] as? String == "orders-1" && proposal["calls"] as? Int == 4, "\(shown.text)")
            let revision = try #require(shown.object["revision"] as? Int)
            let key = StoreKeys.clusterRule(try AppName("orders"))
            #expect(
                try await ams.call("POST /v1/postgres/orders/recovery", Self.wish(revision, calls: 5)).status == 412)
            for (asked, status) in [(revision + 1, 412), (revision, 200), (revision, 412)] {
                let answer = try await ams.call("POST /v1/postgres/orders/recovery", Self.wish(asked))
                #expect(answer.status == status, "\(answer.text)")
            }
            let entry = try #require(try await planet.store.read(.key(key), at: nil).entries.first)
            let rule = try JSONDecoder().decode(ClusterRule.self, from: Data(entry.value))
            #expect(rule.epoch == Epoch(3) && rule.recruitment?.epoch == Epoch(4))
            #expect(rule.recruitment?.reason == .storeRecovered)
        }
    }

    @Test("What is written is not said to be undone where nobody can say what became of it")
    func written() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            try await Self.create(at: host, in: planet)
            let (name, hearing) = (try AppName("orders"), ClusterHearing(watcher: host.watcher))
            let inquiry = ClusterInquiry(view: host.view, clusters: host.clusters, hearing: hearing)
            planet.leave.go()
            let paused = await #expect(throws: Refusal.self) { _ = try await inquiry.bodyWithPause(of: name) }
            let changed = await #expect(throws: Refusal.self) { _ = try await inquiry.bodyAfterChange(of: name) }
            planet.leave.comeBack()
            for refusal in [paused, changed] {
                #expect(refusal?.code == .outcomeUnknown && refusal?.message.contains("is written") == true)
                #expect(refusal?.message.contains("nothing was changed") == false)
            }
        }
    }

    @Test("What may be lost by a failover is shown at any host, and what is wrong or need not be changes nothing")
    func failover() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"], edges: ["ams1"]) { planet in
            let ams = try planet["ams1"]
            #expect(try await ams.call("GET /v1/postgres/orders/failover").status == 404)
            try await Self.create(at: ams, in: planet)
            ams.watcher.follow([.clusters])
            for host in [ams, try planet["iad1"]] {
                let answer = try await poll(for: .seconds(10)) {
                    let answer = try await host.call("GET /v1/postgres/orders/failover?to=orders-1")
                    return answer.status == 503 ? nil : answer
                }
                let shown = try #require(answer)
                #expect(shown.status == 200 && shown.object["proposal"] == nil, "\(shown.text)")
                #expect(shown.string("obstacle").contains("orders-1"), "\(shown.text)")
                #expect(try await host.call("GET /v1/postgres/orders/failover?member=orders-1").status == 400)
                let revision = try #require(shown.object["revision"] as? Int)
                let end = #"{"epoch": 1, "end": "0/0"}"#
                let proposal =
                    #"{"member": "orders-1", "log_end": \#(end), "calls": 3, "keeps": [], "gives_up": [], "confirmations": 0}"#
                for (body, status) in [
                    (#"{"revision": \#(revision), "proposal": \#(proposal), "accept_data_loss": true}"#, 412),
                    (#"{"revision": \#(revision), "proposal": \#(proposal), "accept_data_loss": false}"#, 400),
                    (#"{"revision": \#(revision), "proposal": \#(proposal)}"#, 400), ("{}", 400),
                ] {
                    let refused = try await host.call("POST /v1/postgres/orders/failover", body)
                    #expect(refused.status == status, "\(body): \(refused.text)")
                }
            }
            let key = StoreKeys.clusterRule(try AppName("orders"))
            let entry = try #require(try await planet.store.read(.key(key), at: nil).entries.first)
            #expect(try JSONDecoder().decode(ClusterRule.self, from: Data(entry.value)).forced == nil)
        }
    }

    /// To make the rule what the only member knows.
    private static func wish(_ revision: Int, calls: Int = 4) -> String {
        let last = #"{"epoch": 3, "leader": "orders-1", "begin": "0/0"}"#
        let proposal = #"{"last": \#(last), "source": "orders-1", "calls": \#(calls), "strangers": []}"#
        return #"{"revision": \#(revision), "proposal": \#(proposal)}"#
    }

    /// The only member has its place on the host, and says that it has led in this epoch.
    private static func learn(
        of epoch: UInt64, saying sequence: UInt64, at host: HostName, in planet: PlanetUnderTest
    ) async throws {
        let (name, member) = (try AppName("orders"), try MemberName("orders-1"))
        let machine = try MachineID("0123456789abcd")
        let placement = MemberPlacement(
            member: member, host: host, region: try RegionCode("ams"), machine: machine,
            volume: try VolumeID("vol_0123456789abcdef"), address: MeshAddress.machine(machine, in: NetworkNumber(1)))
        let reigns = [1, epoch].map { Reign(epoch: Epoch($0), leader: member, begin: .zero) }
        let report = MemberReport(
            member: member, role: .standby, state: .waiting, promised: Epoch(epoch), position: nil, timeline: 2,
            replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0,
            sequence: sequence, skills: MemberSkill.known,
            knowledge: MemberKnowledge(opened: reigns.last, history: reigns, timeline: 2, position: nil))
        _ = try await planet.store.commit(
            Transaction(then: [
                .put(placement, at: StoreKeys.placement(name, member)),
                .put(report, at: StoreKeys.report(name, member)),
            ]))
    }

    @Test("Members are asked for where they are to be, by one operation, and what is wrong changes nothing")
    func members() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let host = try planet["ams1"]
            try await Self.create(at: host, in: planet)
            for (line, body, status) in [
                ("POST /v1/postgres/orders/members", "{}", 400),
                ("POST /v1/postgres/orders/members", #"{"region": "nowhere"}"#, 400),
                ("POST /v1/postgres/orders/members", #"{"host": "iad9"}"#, 404),
                ("POST /v1/postgres/orders/members", #"{"host": "iad1", "region": "ams"}"#, 400),
                ("POST /v1/postgres/orders/members/orders-7/replace", "{}", 404),
                ("POST /v1/postgres/orders/members/orders-1/replace", "{}", 412),
                ("PUT /v1/postgres/orders/scale", #"{"regions": {}}"#, 400),
                ("PUT /v1/postgres/orders/scale", #"{"regions": {"ams": 10}}"#, 400),
                ("PUT /v1/postgres/orders/scale", #"{"regions": {"ams": 0}}"#, 412),
            ] {
                let refused = try await host.call(line, body)
                #expect(refused.status == status, "\(line) \(body): \(refused.text)")
            }
            #expect(try await host.call("DELETE /v1/postgres/orders/members/orders-1").status == 412)
            #expect(try await host.call("DELETE /v1/postgres/orders/members/orders-2").status == 404)
            let same = try await host.call("PUT /v1/postgres/orders/scale", #"{"regions": {"ams": 1}}"#)
            #expect(same.status == 200 && same.object["id"] == nil, "\(same.text)")
            let asked = try await host.call("PUT /v1/postgres/orders/scale", #"{"regions": {"iad": 1}}"#)
            #expect(asked.status == 202 && asked.string("id").count == 26, "\(asked.text)")
            let again = try await host.call("PUT /v1/postgres/orders/scale", #"{"regions": {"iad": 1}}"#)
            #expect(again.string("id") == asked.string("id"), "\(again.text)")
            let other = try await host.call("POST /v1/postgres/orders/members", #"{"host": "iad1"}"#)
            #expect(other.status == 412, "\(other.text)")
            for _ in 0..<2 { #expect(try await host.call("DELETE /v1/postgres/orders/scale").status == 200) }
        }
    }

    @Test("Readers are asked for by their number in a region, and what is wrong changes nothing")
    func readers() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let host = try planet["ams1"]
            let alone = try await host.call(
                "POST /v1/postgres",
                #"{"name": "orders", "region": "ams", "replica_regions": [], "reader_regions": {"iad": 1}}"#)
            #expect(alone.status == 412 && alone.text.contains("for 0 standbys"), "\(alone.text)")
            let made = try await host.call(
                "POST /v1/postgres",
                #"{"name": "orders", "region": "ams", "replica_regions": ["iad"], "reader_regions": {"iad": 1}}"#)
            #expect(made.status == 201, "\(made.text)")
            let readers = try #require(made.object["readers"] as? [[String: Any]])
            #expect(readers.map { $0["name"] as? String } == ["orders-3"], "\(made.text)")
            for (line, body, status) in [
                ("PUT /v1/postgres/orders/readers", #"{"regions": {}}"#, 400),
                ("PUT /v1/postgres/orders/readers", #"{"regions": {"ams": 33}}"#, 400),
                ("PUT /v1/postgres/orders/readers", #"{"regions": {"nowhere": 1}}"#, 400),
                ("PUT /v1/postgres/orders/readers", #"{"regions": {"ams": 9}}"#, 412),
                ("PUT /v1/postgres/nobody/readers", #"{"regions": {"ams": 1}}"#, 404),
                ("POST /v1/postgres/orders/readers/orders-1/replace", "{}", 404),
                ("POST /v1/postgres/orders/readers/orders-3/replace", #"{"host": "iad9"}"#, 404),
            ] {
                let refused = try await host.call(line, body)
                #expect(refused.status == status, "\(line) \(body): \(refused.text)")
            }
            #expect(try await host.call("DELETE /v1/postgres/orders/readers/orders-2").status == 404)
            for _ in 0..<2 {
                let scaled = try await host.call("PUT /v1/postgres/orders/readers", #"{"regions": {"ams": 2}}"#)
                #expect(
                    scaled.object["readers"] as? [String] == ["orders-3", "orders-4", "orders-5"], "\(scaled.text)")
            }
            let replaced = try await host.call("POST /v1/postgres/orders/readers/orders-3/replace", nil)
            #expect(
                replaced.object["readers"] as? [String] == ["orders-4", "orders-5", "orders-6"], "\(replaced.text)")
            let removed = try await host.call("DELETE /v1/postgres/orders/readers/orders-4")
            #expect(removed.object["readers"] as? [String] == ["orders-5", "orders-6"], "\(removed.text)")
        }
    }
}
