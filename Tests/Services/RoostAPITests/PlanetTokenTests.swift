import Foundation
import RoostModel
import Testing

@testable import RoostAPI

@Suite struct PlanetTokenTests {
    let token = PlanetToken("fm2_0123456789abcdef")

    @Test("The token's file is for its owner alone, and has a token in it that cannot be guessed")
    func file() throws {
        let path = NSTemporaryDirectory() + "roost-token-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(path) }
        func problem() -> String? {
            do throws(TokenFileError) {
                _ = try PlanetToken.read(from: path)
                return nil
            } catch {
                return error.problem
            }
        }
        #expect(problem()?.contains("must hold the planet's token") == true)
        try Data("0123456789abcdef\n".utf8).write(to: URL(fileURLWithPath: path))
        for (mode, isRead) in [
            (0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o601, false), (0o620, false),
        ] {
            #expect(chmod(path, mode_t(mode)) == 0)
            let said = problem()
            #expect(
                isRead ? said == nil : said?.contains("chmod 600 \(path)") == true, "mode \(String(mode, radix: 8))")
        }
        #expect(chmod(path, 0o600) == 0)
        #expect(try PlanetToken.read(from: path).scrapeCredential == PlanetToken("0123456789abcdef").scrapeCredential)
        for text in ["", "\n", "   0123456789abcde  \n"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(chmod(path, 0o600) == 0)
            #expect(problem()?.contains("at least 16 characters") == true, "'\(text)'")
        }
    }
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
