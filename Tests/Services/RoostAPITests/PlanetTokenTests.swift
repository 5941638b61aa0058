import RoostModel
import Testing

@testable import RoostAPI

@Suite struct PlanetTokenTests {
    let token = PlanetToken("fm2_0123456789abcdef")
    let host: HostName
    init() throws { host = try HostName("ams1") }

    @Test(
        "Fly.io's schemes are taken as Fly.io takes them",
        arguments: [
            "Bearer fm2_0123456789abcdef", "bearer fm2_0123456789abcdef", "FlyV1 fm2_0123456789abcdef",
            "FlyV1 fm2_another,fm2_0123456789abcdef", "flyv1 fm2_0123456789abcdef,fm2_another",
        ])
    func users(header: String) { #expect(token.holder(of: header) == .user) }

    @Test(arguments: [
        "", "Bearer", "Bearer ", "Basic fm2_0123456789abcdef", "fm2_0123456789abcdef", "Bearer fm2_0123456789abcde",
        "Bearer fm2_0123456789abcdef0", "Bearer fm2_a,fm2_0123456789abcdef", "FlyV1 fm2_another",
        "Roost-Peer ams1", "Roost-Peer ams1:", "Roost-Peer ams1:fm2_0123456789abcdef", "Roost-Peer :",
    ])
    func nobody(header: String) { #expect(token.holder(of: header) == nil) }

    @Test("A host's credential is that host's and no user's, no other host's and no other planet's")
    func hosts() throws {
        let credential = token.credential(of: host)
        #expect(token.holder(of: credential) == .peer(host))
        #expect(PlanetToken("another token of 20").holder(of: credential) == nil)
        #expect(token.holder(of: credential.replacing("ams1", with: "ams2")) == nil)
        let secret = try #require(credential.split(separator: ":").last)
        #expect(token.holder(of: "Bearer \(secret)") == nil)
        #expect(token.holder(of: "Roost-Peer ams1:" + String(repeating: "0", count: 64)) == nil)
    }
}
