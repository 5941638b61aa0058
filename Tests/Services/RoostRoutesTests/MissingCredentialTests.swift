import Foundation
import RoostClient
import RoostLinux
import RoostModel
import RoostPlanet
import Testing

/// What a host says of a cluster whose secrets it does not keep while the store does not say them.
@Suite struct MissingCredentialTests {
    private static let wish = #"{"name": "orders", "region": "ams", "replica_regions": []}"#
    private static let both = ["password", "ca_certificate"]

    /// Whether both are there, and nothing is said to be missing.
    private static func isWhole(_ cluster: [String: Any]) -> Bool {
        let url = cluster["write_url"] as? String ?? ""
        return cluster["missing"] == nil && cluster["ca_certificate"] as? String == "a" && url.contains("postgres:o@")
    }

    private static func lacksBoth(_ cluster: [String: Any]) -> Bool {
        let url = cluster["write_url"] as? String ?? ""
        return cluster["missing"] as? [String] == both && cluster["ca_certificate"] as? String == ""
            && url.contains("postgres@")
    }

    @Test("A host that hears a cluster as an edge does says what its answer lacks while the store is away")
    func edgeWithoutStore() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            let name = try AppName("orders")
            host.watcher.follow([.clusters, .identities])
            let made = try await host.call("POST /v1/postgres", Self.wish)
            #expect(made.status == 201 && Self.isWhole(made.object), "\(made.text)")
            let isHeard = try await poll(for: .seconds(10)) { host.watcher.heard(name)?.spec != nil ? true : nil }
            #expect(isHeard == true)
            func list() async throws -> [String: Any] {
                let clusters = try await host.call("GET /v1/postgres").object["clusters"] as? [[String: Any]]
                return clusters?.first ?? [:]
            }
            #expect(Self.isWhole(try await host.call("GET /v1/postgres/orders").object))
            #expect(Self.isWhole(try await list()))
            planet.leave.go()
            let told = try await host.call("GET /v1/postgres/orders")
            // What it hears itself it says as before.
            #expect(told.status == 200 && told.string("status") == "creating", "\(told.text)")
            #expect(Self.lacksBoth(told.object), "\(told.text)")
            #expect(Self.lacksBoth(try await list()))
            planet.leave.comeBack()
            #expect(Self.isWhole(try await host.call("GET /v1/postgres/orders").object))
        }
    }

    @Test("What was written is not said to be undone because the store went away before it could be shown")
    func writtenAndNotShown() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            let key = StoreKeys.clusterSpec(try AppName("orders"))
            planet.leave.go(afterWriteOf: key)
            let made = try await host.call("POST /v1/postgres", Self.wish)
            #expect(made.status == 201 && made.string("status") == "creating", "\(made.text)")
            #expect(made.response.header("roost-operation") != nil && Self.lacksBoth(made.object), "\(made.text)")
            planet.leave.comeBack()
            #expect(try await host.call("GET /v1/postgres/orders").status == 200)
            planet.leave.go(afterWriteOf: key)
            let allowed = try await host.call("PUT /v1/postgres/orders/allow", #"{"allow": ["203.0.113.0/24"]}"#)
            #expect(allowed.status == 200 && allowed.object["allow"] as? [String] == ["203.0.113.0/24"])
            #expect(allowed.string("status") == "unknown" && Self.lacksBoth(allowed.object), "\(allowed.text)")
            planet.leave.comeBack()
            let shown = try await host.call("GET /v1/postgres/orders")
            #expect(shown.object["allow"] as? [String] == ["203.0.113.0/24"], "\(shown.text)")
        }
    }
}
