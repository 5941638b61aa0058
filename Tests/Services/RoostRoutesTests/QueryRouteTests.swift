import RoostModel
import Testing

/// No path believes that a query is acted on which is not.
@Suite struct QueryRouteTests {
    @Test func unknownNamesAreRefusedOnEveryPath() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await host.call("POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"}}"#)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            #expect(try await host.call("GET \(machine)/wait?timeout=60").status == 200)
            for line in [
                "GET /v1/apps?name=a", "POST /v1/apps?dry=true", "GET /v1/apps/shop?x=1",
                "DELETE /v1/apps/shop?force=true",
                "GET /v1/apps/shop/machines?name=nobody", "GET /v1/apps/shop/machines?State=stopped",
                "GET /v1/apps/shop/machines?limit=1", "POST /v1/apps/shop/machines?region=ams", "GET \(machine)?x=1",
                "DELETE \(machine)?froce=true", "POST \(machine)/start?x=1", "POST \(machine)/stop?timeout=1s",
                "POST \(machine)/restart?Timeout=1s", "GET \(machine)/wait?from_event_id=1",
                "GET \(machine)/events?limt=1",
                "GET \(machine)/logs?byte=1", "POST \(machine)/exec?timeout=1",
                "GET /v1/apps/shop/volumes?region=nowhere",
                "POST /v1/apps/shop/volumes?x=1", "GET /v1/platform/regions?x=1", "GET /v1/platform/hosts?region=ams",
                "GET /v1/platform/ips?x=1", "GET /v1/platform/mesh?x=1",
            ] {
                let reply = try await host.call(line, line.hasPrefix("POST") ? "{}" : nil)
                #expect(reply.status == 400 && reply.text.contains("is not supported here"), "\(line): \(reply.text)")
            }
            for query in ["?force=", "?force", "?kill=", "?force=TRUE"] {
                #expect(try await host.call("DELETE \(machine)\(query)").status == 400)
            }
            #expect(try await host.call("GET \(machine)").string("state") == "started")
        }
    }

    @Test("A stop of a machine that was never started is taken, changes nothing, and can be waited for")
    func stopOfCreated() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await host.call(
                "POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"},"skip_launch":true}"#)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            let stop = try await host.call("POST \(machine)/stop")
            #expect(stop.status == 200, "\(stop.text)")
            let states = MachineState.withoutProcess.map(\.rawValue).joined(separator: ",")
            let wait = try await host.call("GET \(machine)/wait?state=\(states)&timeout=60")
            #expect(wait.status == 200 && wait.string("state") == "created", "\(wait.text)")
            let events = try await host.call("GET \(machine)/events")
            #expect(!events.text.contains(#""type":"stop""#), "\(events.text)")
        }
    }

    @Test("A wait for another run of the machine is not answered as one for this")
    func instances() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            let made = try await host.call("POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"}}"#)
            let machine = "/v1/apps/shop/machines/\(made.string("id"))"
            for name in ["version", "instance_id"] {
                let right = try await host.call("GET \(machine)/wait?\(name)=\(made.string("instance_id"))&timeout=60")
                #expect(right.status == 200, "\(right.text)")
                let wrong = try await host.call("GET \(machine)/wait?\(name)=01NOSUCHINSTANCE000000000")
                #expect(wrong.status == 412, "\(wrong.text)")
            }
        }
    }
}
