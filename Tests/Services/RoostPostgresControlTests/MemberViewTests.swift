import Foundation
import RoostModel
import RoostPlanet
import RoostRecords
import RoostStore
import RoostWire
import Testing

@testable import RoostPostgresControl

@Suite struct MemberViewTests {
    private let secrets = ClusterSecrets(
        ownerPassword: "owner-word", replicationPassword: "follow-word", authorityCertificate: "authority-pem",
        serverCertificate: "server-pem", serverKey: "server-key")

    private func view(to header: String?) throws -> String {
        let name = try AppName("orders")
        let spec = ClusterSpec(
            name: name, address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1), guest: MachineGuest(),
            image: "postgres", members: [.init(name: try MemberName("orders-1"), region: try RegionCode("ams"))],
            createdAt: 1)
        var planet = Planet()
        _ = planet.apply(
            .listing(
                Listing(
                    entries: [
                        Entry(
                            key: StoreKeys.clusterSpec(name), value: try RecordCodec.write(spec), created: Revision(1),
                            modified: Revision(1))
                    ], revision: Revision(1))))
        let records = try #require(planet.clusters[name])
        let caller = MemberRoutes.Caller(
            machine: try MachineID("0123456789abcd"), cluster: name, member: try MemberName("orders-1"))
        let view = try #require(
            MemberRoutes.view(
                for: caller, records, secrets, withServerKey: MemberRoutes.needsServerKey(header)))
        return String(decoding: try JSONEncoder().encode(view), as: UTF8.self)
    }

    @Test("A member gets passwords, and no key of the certificate that the edge shows")
    func withoutKey() throws {
        let text = try view(to: "edge")
        #expect(text.contains("owner-word") && text.contains("follow-word"))
        for secret in ["authority-pem", "server-pem", "server-key"] { #expect(!text.contains(secret)) }
        let read = try JSONDecoder().decode(ClusterView.self, from: Data(text.utf8))
        #expect(read.secrets == MemberSecrets(ownerPassword: "owner-word", replicationPassword: "follow-word"))
    }

    @Test("A member of a version that shows the certificate itself still gets all that it cannot do without")
    func former() throws {
        struct FormerView: Decodable { var secrets: ClusterSecrets }
        let former = try JSONDecoder().decode(FormerView.self, from: Data(try view(to: nil).utf8))
        #expect(former.secrets == secrets)
    }

    @Test("A member reads what a host of the version before says")
    func formerHost() throws {
        let text = String(decoding: try JSONEncoder().encode(secrets), as: UTF8.self)
        let read = try JSONDecoder().decode(MemberSecrets.self, from: Data(text.utf8))
        #expect(read.ownerPassword == "owner-word" && read.replicationPassword == "follow-word")
    }
}
