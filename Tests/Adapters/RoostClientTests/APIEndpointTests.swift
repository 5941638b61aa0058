import RoostModel
import Testing

@testable import RoostClient

@Suite struct APIEndpointTests {
    @Test(arguments: [
        ("unix:///run/roost/api.sock", "unix:///run/roost/api.sock"),
        ("/run/roost/api.sock", "unix:///run/roost/api.sock"),
        ("http://localhost", "http://localhost:4280"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://[fdaa::1]", "http://[fdaa::1]:4280"),
        ("http://[fdaa:0:0:1::1]:99", "http://[fdaa:0:0:1::1]:99"),
    ])
    func isRead(text: String, canonical: String) throws {
        let endpoint = try APIEndpoint(text)
        #expect(endpoint.description == canonical)
        #expect(try APIEndpoint(endpoint.description) == endpoint)
    }

    @Test(arguments: [
        "", "/", "unix://", "unix://run", "https://localhost", "localhost:4280", "http://", "http://a:b",
        "http://a:70000", "http://[nonsense]", "http://[fdaa::1", "http://a/path", "http://u@a", "http://fdaa::1",
    ])
    func isRefused(text: String) {
        #expect(throws: InvalidValue.self) { try APIEndpoint(text) }
    }

    @Test func meshAddressFollowsFromTheName() throws {
        let host = try HostName("ams1")
        #expect(APIEndpoint.mesh(host).description == "http://[\(MeshAddress.host(host))]:4280")
    }

    @Test func socketPathBecomesTheHostOfTheURL() throws {
        #expect(try APIEndpoint("/run/a b.sock").url(for: "/v1/apps") == "http+unix://%2Frun%2Fa%20b.sock/v1/apps")
    }
}
