import Foundation
import RoostModel
import RoostPlanet
import RoostPostgresWire
import RoostRouting
import RoostStore
import Testing

@testable import RoostPostgresControl

@Suite("What an edge is told of the planet")
struct EdgeRoutingTests {
    @Test("A cluster's clients speak TLS, and nobody is served while its certificate has not been heard of")
    func encryption() throws {
        let app = try AppName("db")
        let address = try IPv4Address("203.0.113.7")
        var planet = Planet()
        func put(_ record: some Encodable, at key: String) throws {
            planet.apply(
                .changes(
                    [
                        .put(
                            Entry(
                                key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                                modified: Revision(2)))
                    ], revision: Revision(2)))
        }
        var spec = ClusterSpec(
            name: app, address: address, volumeSize: .gibibytes(1), guest: MachineGuest(), image: "postgres",
            members: [.init(name: try MemberName("db-1"), region: try RegionCode("ams"))], createdAt: 0)
        try put(spec, at: StoreKeys.clusterSpec(app))
        let host = try HostName("ams1")
        func route() -> ClusterRoute? { EdgeRouting.table(of: planet, from: host, measurements: [])[address] }
        #expect(route()?.encryption == .unusable)
        let secrets = ClusterSecrets(
            superuserPassword: "p", replicationPassword: "r", authorityCertificate: "a", serverCertificate: "c",
            serverKey: "k")
        try put(secrets, at: StoreKeys.clusterSecrets(app))
        #expect(route()?.encryption == .required(TLSIdentity(certificateChain: "c", privateKey: "k")))
        spec.isDestroying = true
        try put(spec, at: StoreKeys.clusterSpec(app))
        #expect(route() == nil)
    }
}
