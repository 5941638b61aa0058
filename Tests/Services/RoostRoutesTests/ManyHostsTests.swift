import Foundation
import RoostClient
import RoostControl
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Synchronization
import Testing

@testable import RoostRoutes

/// What one host was told, at another.
@Suite struct ManyHostsTests {
    private static let config = #"{"region":"iad","config":{"image":"redis:7"}}"#

    @Test("What was made a moment ago is found through a host that has not heard of it")
    func found() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"], deaf: ["sin1"]) { planet in
            let (near, deaf) = (try planet["ams1"], try planet["sin1"])
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.config)
            #expect(made.status == 200, "\(made.text)")
            #expect(made.string("host") == "iad1")
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await deaf.call("GET \(machine)").status == 200)
            #expect(try await deaf.call("GET \(machine)/wait?timeout=60").status == 200)
            #expect(try await deaf.call("DELETE \(machine)?force=true").status == 200)
            #expect(try await deaf.call("GET \(machine)/wait?state=destroyed&timeout=60").status == 200)
            // Gone, and known to have been, everywhere.
            #expect(try await near.call("GET \(machine)").string("state") == "destroyed")
            let volume = try await near.call("POST /v1/apps/shop/volumes", #"{"name":"data","region":"iad"}"#)
            #expect(try await deaf.call("GET /v1/apps/shop/volumes/\(volume.string("id"))").status == 200)
            #expect(try await deaf.call("DELETE /v1/apps/shop/volumes/\(volume.string("id"))").status == 200)
            #expect(try await deaf.call("GET /v1/apps/shop/volumes/\(volume.string("id"))").status == 404)
            let nothing = try await deaf.call("GET /v1/apps/shop/machines/0123456789abcd")
            #expect(nothing.status == 404)
            #expect(nothing.string("code") == "not_found")
            let other = try await deaf.call("GET /v1/apps/other/machines/\(made.string("id"))")
            #expect(other.status == 404)
        }
    }

    @Test("Lists of one app have what all hosts have of it, once each and nothing of another app")
    func lists() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            for app in ["shop", "blog"] { _ = try await near.call("POST /v1/apps", #"{"name":"\#(app)"}"#) }
            var made: [String] = []
            for region in ["ams", "iad"] {
                let config = #"{"region":"\#(region)","config":{"image":"redis:7"}}"#
                made.append(try await near.call("POST /v1/apps/shop/machines", config).string("id"))
                _ = try await near.call("POST /v1/apps/blog/machines", config)
                let volume = try await near.call(
                    "POST /v1/apps/shop/volumes", #"{"name":"data","region":"\#(region)"}"#)
                #expect(volume.status == 200, "\(volume.text)")
            }
            let isHeard = try await poll(for: .seconds(10)) {
                let counts = [near, far].map { host in
                    ["shop", "blog"].map { app in
                        (try? AppName(app)).map { app in host.watcher.read { $0.machines(of: app).count } }
                    }
                }
                return counts == [[2, 2], [2, 2]] ? true : nil
            }
            #expect(isHeard == true)
            for id in made {
                #expect(try await near.call("GET /v1/apps/shop/machines/\(id)/wait?timeout=60").status == 200)
            }
            for host in [near, far] {
                let machines = try await host.call("GET /v1/apps/shop/machines")
                #expect(machines.list.compactMap { $0["id"] as? String } == made.sorted())
                #expect(Set(machines.list.compactMap { $0["host"] as? String }) == ["ams1", "iad1"])
                for machine in machines.list {
                    // That nothing has happened is not said by one who does not know.
                    let events = machine["events"] as? [Any]
                    #expect((events != nil) == (machine["host"] as? String == host.name.text), "\(machine)")
                    #expect(events?.isEmpty != true)
                    let shown = try await host.call("GET /v1/apps/shop/machines/\(machine["id"] ?? "")")
                    #expect((shown.object["events"] as? [Any])?.isEmpty == false, "\(shown.text)")
                }
                let volumes = try await host.call("GET /v1/apps/shop/volumes")
                #expect(volumes.list.count == 2)
                #expect(Set(volumes.list.compactMap { $0["zone"] as? String }) == ["ams1", "iad1"])
                let app = try await host.call("GET /v1/apps/shop")
                #expect(app.object["machine_count"] as? Int == 2 && app.object["volume_count"] as? Int == 2)
            }
        }
    }

    @Test(
        "What an app has is asked of every host before it is deleted: one's copy knows neither what was made nor what went"
    )
    func holdings() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"]) { planet in
            let (near, deaf) = (try planet["ams1"], try planet["sin1"])
            let app = try AppName("shop")
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let before = try await near.call("POST /v1/apps/shop/volumes", #"{"name":"data","region":"iad"}"#)
            let id = try VolumeID(before.string("id"))
            let isHeard = try await poll(for: .seconds(10)) {
                deaf.watcher.read { $0.host(of: id) } != nil ? true : nil
            }
            #expect(isHeard == true)
            try await planet.deafen("sin1")
            #expect(try await near.call("DELETE /v1/apps/shop/volumes/\(id)").status == 200)
            #expect(deaf.watcher.read { $0.host(of: id) } != nil)
            #expect(try await AppHoldings(view: deaf.view).of(app).isNothing)
            let machine = try await near.call("POST /v1/apps/shop/machines", Self.config)
            #expect(machine.status == 200, "\(machine.text)")
            let refused = try await deaf.call("DELETE /v1/apps/shop")
            #expect(refused.status == 412, "\(refused.text)")
            #expect(refused.string("error").contains("still has 1 machine and 0 volumes"))
        }
    }

    @Test("Of a host that is known to be away, by id what the list shows is shown, and nobody waits for it")
    func awayByProbes() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let machine = try await near.call("POST /v1/apps/shop/machines", Self.config)
            let volume = try await near.call("POST /v1/apps/shop/volumes", #"{"name":"data","region":"iad"}"#)
            #expect(machine.status == 200 && volume.status == 200, "\(machine.text) \(volume.text)")
            near.mesh.away.withLock { _ = $0.insert(far.name) }
            for (kind, id) in [("machines", machine.string("id")), ("volumes", volume.string("id"))] {
                let one = try await near.call("GET /v1/apps/shop/\(kind)/\(id)")
                #expect(one.status == 200 && one.string("id") == id, "\(one.text)")
                #expect(one.string("host_status") == "unreachable")
                #expect(!one.string("state").isEmpty)
                let other = try await near.call("GET /v1/apps/other/\(kind)/\(id)")
                #expect(other.status == 503 || other.status == 404, "it is not that app's: \(other.text)")
            }
            // A list that is short says so too: the state is one of before.
            for list in ["machines", "machines?summary=true", "volumes", "volumes?summary=true"] {
                let rows = try await near.call("GET /v1/apps/shop/\(list)")
                #expect(rows.text.contains(#""host_status":"unreachable""#), "\(list): \(rows.text)")
                #expect(rows.text.contains(#""app":"shop""#), "\(list): \(rows.text)")
            }
            // It would answer, so whoever asked it would not hear that it cannot be reached.
            let mounts = #"[{"volume":"\#(volume.string("id"))","path":"/data"}]"#
            let mount = #"{"config":{"image":"redis:7","mounts":\#(mounts)}}"#
            for (line, body) in [
                ("POST /v1/apps/shop/machines/\(machine.string("id"))/stop", nil),
                ("POST /v1/apps/shop/machines/\(machine.string("id"))/exec", #"{"cmd":"true"}"#),
                ("DELETE /v1/apps/shop/volumes/\(volume.string("id"))", nil), ("POST /v1/apps/shop/machines", mount),
            ] as [(String, String?)] {
                let refused = try await near.call(line, body)
                #expect(refused.status == 503, "\(line): \(refused.text)")
                #expect(refused.string("error").contains("host iad1 cannot be reached"), "\(line): \(refused.text)")
            }
            near.mesh.away.withLock { $0 = [] }
            let back = try await near.call("GET /v1/apps/shop/machines/\(machine.string("id"))")
            #expect(back.string("host_status") == "ok")
            let short = try await near.call("GET /v1/apps/shop/machines?summary=true")
            #expect(short.text.contains(#""host_status":"ok""#) && !short.text.contains("config"), "\(short.text)")
        }
    }

    @Test("Of a thing that is not known, that it is nowhere is said only by who reaches all hosts or the store")
    func nowhere() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"]) { planet in
            let near = try planet["ams1"]
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let lines = ["GET /v1/apps/shop/machines/0123456789abcd", "GET /v1/apps/shop/volumes/vol_0123456789abcdef"]
            // By a name it is looked for in a list, of which who goes by what it lacks asks for the whole.
            func expectList(isWhole: Bool) async throws {
                let reply = try await near.call("GET /v1/apps/shop/machines?whole=true")
                #expect(reply.status == (isWhole ? 200 : 503), "\(reply.text)")
                #expect(try await near.call("GET /v1/apps/shop/machines").status == 200)
            }
            func expect(_ status: Int) async throws {
                for line in lines {
                    let reply = try await near.call(line)
                    #expect(reply.status == status, "\(line): \(reply.text)")
                    if status == 503 { #expect(reply.text.contains("sin1") && !reply.text.contains("iad1")) }
                }
            }
            try await expect(404)
            try await expectList(isWhole: true)
            near.mesh.away.withLock { _ = $0.insert(planet.hosts.keys.first { $0.text == "sin1" } ?? near.name) }
            try await expect(404)
            planet.leave.go()
            defer { planet.leave.comeBack() }
            try await expect(503)
            try await expectList(isWhole: false)
            near.mesh.away.withLock { $0 = [] }
            try await expect(404)
        }
    }

    @Test("A refusal comes over another host as it was given, with its code and the caller's request id")
    func refusals() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let near = try planet["ams1"]
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.config)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await near.call("GET \(machine)/wait?timeout=60").status == 200)
            let refused = try await near.call("DELETE \(machine)", headers: [(name: "fly-request-id", value: "01A-b")])
            #expect(refused.status == 412)
            #expect(refused.string("code") == "failed_precondition")
            #expect(refused.string("error").hasPrefix("failed_precondition: unable to destroy"))
            #expect(refused.response.requestID == "01A-b")
        }
    }

    @Test(
        "Nothing is made for an app that is gone, or that is a cluster by now, through a host that has not heard of it")
    func formerApp() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"], apps: ["shop"]) { planet in
            let (near, deaf) = (try planet["ams1"], try planet["iad1"])
            func expectNothing(_ status: Int) async throws {
                #expect(deaf.watcher.planet.apps[try AppName("shop")]?.owner == nil)
                for body in [Self.config, #"{"name":"web","config":{"image":"redis:7"}}"#] {
                    let reply = try await deaf.call("POST /v1/apps/shop/machines", body)
                    #expect(reply.status == status, "\(reply.text)")
                }
                let reply = try await deaf.call("POST /v1/apps/shop/volumes", #"{"name":"data"}"#)
                #expect(reply.status == status, "\(reply.text)")
                for host in planet.hosts.values {
                    #expect(await host.agent.record().machines.isEmpty)
                    #expect(await host.agent.record().volumes.isEmpty)
                }
                let names = try await planet.store.read(.prefix("/roost/machine-names/shop/"), at: nil)
                #expect(names.entries.isEmpty)
            }
            #expect(try await near.call("DELETE /v1/apps/shop").status == 202)
            try await expectNothing(404)
            _ = try await AppDirectory(store: planet.store).create(try AppName("shop"), network: nil, owner: .postgres)
            try await expectNothing(412)
        }
    }

    @Test("An order that comes to another host after it was taken back makes nothing there")
    func lateOrders() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            let dispatch = PlanetDispatch(agent: near.agent, peers: near.view.peers)
            var random = SystemRandomNumberGenerator()
            let app = try AppName("shop")
            for host in [near, far] {
                let machine = MachineOrder(
                    id: .random(using: &random), name: "late", app: app, network: NetworkNumber(1),
                    config: MachineConfig(image: "redis:7"), owner: nil, startsAtOnce: true)
                let volume = VolumeOrder(
                    id: .random(using: &random), name: "data", app: app, size: .gibibytes(1), reserved: nil)
                try await dispatch.destroyMachine(machine.id, of: app, on: host.name)
                try await dispatch.destroyVolume(volume.id, of: app, on: host.name)
                let ofMachine = await #expect(throws: Refusal.self) {
                    try await dispatch.createMachine(machine, on: host.name)
                }
                let ofVolume = await #expect(throws: Refusal.self) {
                    try await dispatch.createVolume(volume, on: host.name)
                }
                #expect([ofMachine?.code, ofVolume?.code] == [.failedPrecondition, .failedPrecondition])
                #expect(await host.agent.record().machines.isEmpty)
                #expect(await host.agent.record().volumes.isEmpty)
            }
        }
    }

    @Test("A command ends when its caller hangs up, also over another host", arguments: ["ams1", "iad1"])
    func hangUp(asked: String) async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, owner) = (try planet[asked], try planet["iad1"])
            _ = try await near.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await near.call("POST /v1/apps/shop/machines", Self.config)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await near.call("GET \(machine)/wait?timeout=60").status == 200)
            let caller = Task {
                try await near.call("POST \(machine)/exec", #"{"command":["hold"],"timeout":100}"#)
            }
            let runs = try await poll(for: .seconds(10)) { owner.runtime.commands.withLock { $0 == 1 ? true : nil } }
            #expect(runs == true)
            caller.cancel()
            let ended = try await poll(for: .seconds(10)) { owner.runtime.commands.withLock { $0 == 0 ? true : nil } }
            #expect(ended == true)
            _ = try? await caller.value
        }
    }

    @Test("A machine runs so many commands at once, and says when it is one too many")
    func commandBound() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await host.call("POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"}}"#)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await host.call("GET \(machine)/wait?timeout=60").status == 200)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<32 {
                    group.addTask {
                        _ = try? await host.call("POST \(machine)/exec", #"{"command":["hold"],"timeout":100}"#)
                    }
                }
                let full = try? await poll(for: .seconds(20)) {
                    host.runtime.commands.withLock { $0 == 32 ? true : nil }
                }
                #expect(full == true)
                let refused = try? await host.call("POST \(machine)/exec", #"{"command":["true"]}"#)
                #expect(refused?.status == 429)
                #expect(refused?.response.header("retry-after") == "1")
                group.cancelAll()
            }
        }
    }

    @Test("What is asked of an edge is told apart in the words of the API, through any host")
    func edgeWords() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let near = try planet["ams1"]
            for host in ["ams1", "iad1"] {
                let path = "POST /v1/platform/hosts/\(host)/edge"
                for (body, text) in [
                    (#"{"state":"off"}"#, "field 'state' is wrong: 'off' is none of started, stopped, replaced"),
                    ("{}", "field 'state' is missing"),
                ] {
                    let reply = try await near.call(path, body)
                    #expect(reply.status == 400 && reply.text.contains(text), "\(reply.text)")
                    #expect(!reply.text.contains("State"), "\(reply.text)")
                }
                let none = try await near.call(path, #"{"state":"stopped"}"#)
                #expect(none.status == 412 && none.text.contains("no edge"), "\(none.text)")
            }
            #expect(try await near.call("POST /v1/platform/hosts/sin9/edge", #"{"state":"stopped"}"#).status == 404)
        }
    }

    @Test("The routes of hosts are no routes of users")
    func internalRoutes() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            for line in [
                "GET /v1/internal/mesh", "DELETE /v1/internal/machines/0123456789abcd",
                "PUT /v1/internal/machines/0123456789abcd", "DELETE /v1/internal/volumes/vol_0123456789abcdef",
            ] {
                #expect(try await host.call(line, line.hasPrefix("PUT") ? "{}" : nil).status == 404, "\(line)")
            }
        }
    }
}
