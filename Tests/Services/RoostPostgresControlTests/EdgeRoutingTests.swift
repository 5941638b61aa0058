import RoostModel
import RoostPlanet
import RoostPostgresWire
import RoostRouting
import Testing

@testable import RoostPostgresControl

@Suite("What an edge is told of the planet")
struct EdgeRoutingTests {
    @Test("A cluster's clients speak TLS, and nobody is served while its certificate has not been heard of")
    func encryption() throws {
        let app = try AppName("db")
        let address = try IPv4Address("203.0.113.7")
        var planet = Planet()
        planet.clusters[app] = Planet.ClusterRecords()
        planet.clusters[app]?.spec = ClusterSpec(
            name: app, address: address, volumeSize: .gibibytes(1), guest: MachineGuest(), image: "postgres",
            members: [], createdAt: 0)
        let host = try HostName("ams1")
        func route() -> ClusterRoute? { EdgeRouting.table(of: planet, from: host, measurements: [])[address] }
        #expect(route()?.encryption == .unusable)
        planet.clusters[app]?.secrets = ClusterSecrets(
            superuserPassword: "p", replicationPassword: "r", authorityCertificate: "a", serverCertificate: "c",
            serverKey: "k")
        #expect(route()?.encryption == .required(TLSIdentity(certificateChain: "c", privateKey: "k")))
        planet.clusters[app]?.spec?.isDestroying = true
        #expect(route() == nil)
    }
}
