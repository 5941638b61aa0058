import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
    Array(type.utf8) + bigEndian(UInt32(body.count + 4)) + body
}

func parameter(_ name: String, _ value: String) -> [UInt8] { message("S", Array("\(name)\0\(value)\0".utf8)) }

func authentication(_ kind: UInt32, _ text: String = "") -> [UInt8] {
    message("R", bigEndian(kind) + Array(text.utf8))
}

func failure(_ code: String) -> [UInt8] { message("E", Array("SFATAL\0VFATAL\0C\(code)\0Mno\0\0".utf8)) }

let readyForQuery = message("Z", [UInt8(ascii: "I")])

@Suite("What a backend answers first")
struct BackendLoginTests {
    private func ready(_ standby: String) -> [UInt8] {
        authentication(0) + parameter("server_version", "17.2") + parameter("in_hot_standby", standby)
            + message("K", [0, 0, 0, 1, 0, 0, 0, 2]) + readyForQuery
    }

    /// Feeds `bytes` in random pieces; what was passed, and the last verdict.
    private func feed(_ login: inout BackendLogin, _ bytes: [UInt8], _ random: inout SplitMix64)
        -> (passed: [UInt8], last: BackendLogin.Verdict)
    {
        var passed: [UInt8] = []
        var place = 0
        while place < bytes.count {
            let end = min(bytes.count, place + Int.random(in: 1...40, using: &random))
            let verdict = login.read(bytes[place..<end])
            place = end
            switch verdict {
            case .more: continue
            case .pass(let some): passed += some
            case .relay(let some): return (passed + some + bytes[place...], .relay([]))
            case .retry, .refuse: return (passed, verdict)
            }
        }
        return (passed, .more)
    }

    @Test("A primary's login reaches the client whole", arguments: UInt64(0)..<30)
    func primary(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for access in Access.allCases {
            var login = BackendLogin(access: access)
            let bytes =
                authentication(10, "SCRAM-SHA-256\0\0") + authentication(11, "r=x") + authentication(12, "v=y")
                + ready("off") + Array("more".utf8)
            let (passed, last) = feed(&login, bytes, &random)
            #expect(passed == bytes)
            #expect(last == .relay([]))
        }
    }

    @Test("A standby at the write port is dropped unseen where no password is asked", arguments: UInt64(0)..<30)
    func standbyTrust(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var login = BackendLogin(access: .write)
        let (passed, last) = feed(&login, ready("on"), &random)
        #expect(passed.isEmpty)
        #expect(last == .retry(.standby))
    }

    @Test("A standby at the write port is never shown as ready after a password", arguments: UInt64(0)..<30)
    func standbyPassword(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var login = BackendLogin(access: .write)
        let asked = authentication(10, "SCRAM-SHA-256\0\0") + authentication(11, "r=x")
        let (passed, last) = feed(&login, asked + authentication(12, "v=y") + ready("on"), &random)
        #expect(passed == asked)
        #expect(last == .refuse(.standby))
    }

    @Test("A standby is what the read port is for")
    func standbyRead() {
        var login = BackendLogin(access: .read)
        #expect(login.read(ready("on")) == .relay(ready("on")))
    }

    @Test("'Starting up' is not shown, other errors are")
    func errors() {
        for access in Access.allCases {
            var starting = BackendLogin(access: access)
            #expect(starting.read(failure("57P03")) == .retry(.notAccepting))
            // By its access rules, before it has asked for anything.
            var closed = BackendLogin(access: access)
            #expect(closed.read(failure("28000")) == .retry(.notAccepting))
            var unknown = BackendLogin(access: access)
            #expect(unknown.read(authentication(5, "salt")) == .pass(authentication(5, "salt")))
            #expect(unknown.read(failure("28000")) == .relay(failure("28000")))
            var full = BackendLogin(access: access)
            #expect(full.read(failure("53300")) == .relay(failure("53300")))
        }
        var late = BackendLogin(access: .write)
        #expect(late.read(authentication(5, "salt")) == .pass(authentication(5, "salt")))
        #expect(late.read(failure("57P03")) == .relay(failure("57P03")))
        #expect(late.ended(.lost) == .refuse(.lost))
        #expect(BackendLogin(access: .write).ended(.lost) == .retry(.lost))
    }

    @Test("What is no Postgres, or never gets to the point, is dropped")
    func nonsense() {
        var http = BackendLogin(access: .write)
        #expect(http.read(Array("HTTP/1.1 400 Bad Request\r\n".utf8)) == .retry(.notPostgres))
        var other = BackendLogin(access: .write)
        #expect(other.read(message("X", [])) == .retry(.notPostgres))
        var endless = BackendLogin(access: .write)
        var verdict = endless.read(authentication(0))
        var rounds = 0
        while verdict == .more, rounds < 10_000 {
            verdict = endless.read(parameter("a", String(repeating: "b", count: 100)))
            rounds += 1
        }
        #expect(verdict == .retry(.notPostgres))
    }

    @Test("Random answers end in a verdict or wait for more, and never trap", arguments: UInt64(0)..<200)
    func garbage(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var login = BackendLogin(access: Access.allCases.randomElement(using: &random) ?? .write)
        for _ in 0..<50 {
            var bytes = (0..<Int.random(in: 1...50, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) {
                bytes = message("RSZEKNv".randomElement(using: &random) ?? "R", bytes)
            }
            switch login.read(bytes) {
            case .more, .pass: continue
            case .relay, .retry, .refuse: return
            }
        }
    }
}
