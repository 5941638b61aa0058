import Foundation
import RoostLinux
import RoostModel
import Synchronization
import Testing

/// Calls exactly as Fly.io's own Go client sends them: names, empty values and all (github.com/superfly/fly-go,
/// flaps/flaps_machines.go, flaps_machines_wait.go, flaps_apps.go, flaps_volumes.go, machine_types.go, volume_types.go).
@Suite struct FlyClientTests {
    private func withApp(_ body: @Sendable (HostUnderTest) async throws -> Void) async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            let app = try await host.call(
                "POST /v1/apps?wait=true", #"{"name":"shop","org_slug":"personal","network":"","app_role_id":""}"#)
            #expect(app.status == 201, "\(app.text)")
            try await body(host)
        }
    }

    /// `LaunchMachineInput` with what `fly machine run` fills in.
    private static let launch = """
        {"config":{"env":{"A":"b"},"init":{},"guest":{"cpu_kind":"shared","cpus":1,"memory_mb":256},\
        "metadata":{"fly_platform_version":"v2","role":"web"},"image":"registry-1.docker.io/library/redis:7",\
        "restart":{}},"region":"ams","skip_secrets":false}
        """

    private func machine(_ host: HostUnderTest, _ body: String = Self.launch) async throws -> Reply {
        let reply = try await host.call("POST /v1/apps/shop/machines", body)
        #expect(reply.status == 200, "\(reply.text)")
        return reply
    }

    @Test func apps() async throws {
        try await withApp { host in
            let list = try await host.call("GET /v1/apps?org_slug=personal")
            #expect((list.object["apps"] as? [[String: Any]])?.first?["name"] as? String == "shop")
            #expect(try await host.call("GET /v1/apps/shop").string("status") == "pending")
            #expect(try await host.call("GET /v1/apps/none").status == 404)
            let role = try await host.call("POST /v1/apps?wait=true", #"{"name":"a","org_slug":"","app_role_id":"x"}"#)
            #expect(role.status == 400)
            #expect(role.string("error") == "field 'app_role_id' is not supported")
            #expect(try await host.call("DELETE /v1/apps/shop").status == 202)
        }
    }

    @Test("Plain and macaroon tokens, and a wrong one")
    func tokens() async throws {
        try await withApp { host in
            for (header, status) in [
                ("Bearer \(PlanetUnderTest.token)", 200), ("FlyV1 \(PlanetUnderTest.token)", 200),
                ("FlyV1 fm2_a,\(PlanetUnderTest.token),fm2_b", 200), ("FlyV1 fm2_a", 401), ("Bearer x", 401),
            ] {
                let reply = try await host.call("GET /v1/apps", headers: [(name: "authorization", value: header)])
                #expect(reply.status == status, "\(header)")
            }
        }
    }

    @Test("A launch, a wait for it, a stop and a destruction")
    func life() async throws {
        try await withApp { host in
            let made = try await machine(host)
            let (id, instance) = (made.string("id"), made.string("instance_id"))
            let path = "/v1/apps/shop/machines/\(id)"
            // Older ones say `instance_id` for what is `version` now.
            for name in ["version", "instance_id"] {
                let wait = try await host.call("GET \(path)/wait?\(name)=\(instance)&state=started&timeout=60")
                #expect(wait.status == 200, "\(wait.text)")
                #expect(wait.string("version") == instance)
            }
            let after = try await host.call("GET \(path)/wait?from_event_id=\(instance)&state=started&timeout=60")
            #expect(after.status == 400)
            #expect(after.text.contains("'from_event_id' is not supported here; there are: state, timeout"))
            let restart = try await host.call("POST \(path)/restart?force_stop=false")
            #expect(restart.status == 200, "\(restart.text)")
            #expect(try await host.call("GET \(path)/wait?state=started&timeout=60").status == 200)
            let stop = try await host.call("POST \(path)/stop", #"{"id":"\#(id)","timeout":"0s"}"#)
            #expect(stop.status == 200, "\(stop.text)")
            let either = try await host.call("GET \(path)/wait?state=destroyed&state=stopped&timeout=60")
            #expect(either.status == 200, "\(either.text)")
            #expect(either.string("state") == "stopped")
            let start = try await host.call("POST \(path)/start")
            #expect(start.string("previous_state") == "stopped")
            #expect(try await host.call("GET \(path)/wait?state=started&timeout=60").status == 200)
            #expect(try await host.call("DELETE \(path)?kill=true").status == 200)
            #expect(try await host.call("GET \(path)/wait?state=destroyed&timeout=60").status == 200)
        }
    }

    @Test("A stop with no time of its own gives the machine its grace")
    func stopWithGrace() async throws {
        try await withApp { host in
            let id = try await machine(host).string("id")
            let path = "/v1/apps/shop/machines/\(id)"
            #expect(try await host.call("GET \(path)/wait?state=started&timeout=60").status == 200)
            _ = try await host.call("POST \(path)/stop", #"{"id":"\#(id)","timeout":"0s"}"#)
            #expect(try await host.call("GET \(path)/wait?state=stopped&timeout=60").status == 200)
            let signals = host.runtime.signalled.withLock { $0 }
            #expect(!signals.contains("SIGKILL"))
            #expect(signals.contains("SIGINT"))
            let other = try await host.call("POST \(path)/stop", #"{"id":"0123456789abcd"}"#)
            #expect(other.status == 400)
        }
    }

    @Test("What is not acted on is refused by name only when it asks for something")
    func emptyConfig() async throws {
        try await withApp { host in
            let empty = """
                {"config":{"init":{"tty":false},"image":"redis:7","services":[],"checks":{},"mounts":null,"processes":[],\
                "metrics":{"port":0},"guest":{"cpu_kind":"shared","cpus":1,"memory_mb":256,"gpus":0}},"name":"",\
                "region":"","skip_service_registration":false,"lease_ttl":0,"skip_secrets":false}
                """
            #expect(try await machine(host, empty).string("region") == "ams")
            let wrong = try await host.call(
                "POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"},"skip_secrets":true}"#)
            #expect(wrong.string("error") == "field 'skip_secrets' is not supported")
        }
    }

    @Test func lists() async throws {
        try await withApp { host in
            let id = try await machine(host).string("id")
            #expect(try await host.call("GET /v1/apps/shop/machines/\(id)/wait?timeout=60").status == 200)
            let all = "GET /v1/apps/shop/machines"
            for (query, count) in [
                ("", 1), ("?include_deleted=false", 1), ("?state=started,stopped", 1), ("?state=stopped", 0),
                ("?metadata.role=web", 1), ("?metadata.role=none", 0), ("?region=ams&state=", 1),
                ("?metadata.role=web&metadata.fly_platform_version=v1", 0),
            ] {
                #expect(try await host.call(all + query).list.count == count, "\(query)")
            }
            let summary = try await host.call(all + "?summary=true").list.first ?? [:]
            #expect(summary["id"] as? String == id)
            #expect(summary["config"] == nil)
            _ = try await host.call("DELETE /v1/apps/shop/machines/\(id)?kill=true")
            #expect(try await host.call("GET /v1/apps/shop/machines/\(id)/wait?state=destroyed").status == 200)
            #expect(try await host.call(all).list.isEmpty)
            #expect(try await host.call(all + "?include_deleted=true").list.map { $0["id"] as? String } == [id])
        }
    }

    @Test func commands() async throws {
        try await withApp { host in
            let id = try await machine(host).string("id")
            #expect(try await host.call("GET /v1/apps/shop/machines/\(id)/wait?timeout=60").status == 200)
            let answer = try await host.call(
                "POST /v1/apps/shop/machines/\(id)/exec", #"{"cmd":"ls -l","container":"","timeout":0}"#)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.string("stdout") == "/bin/sh -c ls -l")
            #expect(answer.object["exit_code"] as? Int == 7)
            for (body, ran) in [
                (#"{"cmd":"","command":["ls","-a"]}"#, "ls -a"), (#"{"cmd":"ls","command":[]}"#, "/bin/sh -c ls"),
            ] {
                let one = try await host.call("POST /v1/apps/shop/machines/\(id)/exec", body)
                #expect(one.string("stdout") == ran, "\(one.text)")
            }
            let both = try await host.call(
                "POST /v1/apps/shop/machines/\(id)/exec", #"{"cmd":"ls","command":["ls"]}"#)
            #expect(both.status == 400 && both.string("error").contains("exclude each other"), "\(both.text)")
        }
    }

    @Test func volumes() async throws {
        try await withApp { host in
            let made = try await host.call(
                "POST /v1/apps/shop/volumes",
                """
                {"name":"data","region":"","size_gb":1,"encrypted":false,"require_unique_zone":null,\
                "machines_only":null,"snapshot_retention":null,"auto_backup_enabled":null,"fstype":"ext4",\
                "snapshot_id":null,"source_volume_id":null,"compute":null}
                """)
            #expect(made.status == 200, "\(made.text)")
            #expect(try await host.call("GET /v1/apps/shop/volumes").list.count == 1)
            #expect(try await host.call("GET /v1/apps/shop/volumes?summary=true").list.count == 1)
            let raw = try await host.call("POST /v1/apps/shop/volumes", #"{"name":"data","fstype":"raw"}"#)
            #expect(raw.status == 400)
            // Its client asks for it unless it is told not to, and nobody may believe that it was done.
            let encrypted = try await host.call("POST /v1/apps/shop/volumes", #"{"name":"data","encrypted":true}"#)
            #expect(encrypted.status == 400, "\(encrypted.text)")
            #expect(encrypted.string("error").contains("field 'encrypted' is not supported"), "\(encrypted.text)")
            #expect(try await host.call("GET /v1/apps/shop/volumes").list.count == 1)
            #expect(try await host.call("DELETE /v1/apps/shop/volumes/\(made.string("id"))").status == 200)
        }
    }

    @Test("Its client looks for the beginnings of these texts")
    func texts() async throws {
        try await withApp { host in
            let id = try await machine(host).string("id")
            let path = "/v1/apps/shop/machines/\(id)"
            #expect(try await host.call("GET \(path)/wait?timeout=60").status == 200)
            let wait = try await host.call("GET \(path)/wait?state=stopped&timeout=1")
            #expect(wait.status == 408)
            #expect(wait.string("error").hasPrefix("deadline_exceeded: machine failed to reach desired state, stopped"))
            let destroy = try await host.call("DELETE \(path)?kill=false")
            #expect(destroy.status == 412)
            #expect(destroy.string("error").hasPrefix("failed_precondition: unable to destroy machine"))
            #expect(destroy.string("code") == "failed_precondition")
            let taken = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
            #expect(taken.string("error") == "Name has already been taken")
            #expect(taken.string("status") == "name_taken")
        }
    }
}
