import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

func bigEndian(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }

func packet(_ code: UInt32, _ body: [UInt8] = []) -> [UInt8] {
    bigEndian(UInt32(8 + body.count)) + bigEndian(code) + body
}

func startup(minor: UInt32 = 0, _ text: String = "user\0me\0database\0db\0\0") -> [UInt8] {
    packet(3 << 16 | minor, Array(text.utf8))
}

let tlsRequest = packet(80_877_103)
let gssRequest = packet(80_877_104)

@Suite("What a client says first")
struct StartupReaderTests {
    @Test("A startup message is the same however it is cut", arguments: UInt64(0)..<50)
    func split(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let message = startup(minor: UInt32([0, 2].randomElement(using: &random) ?? 0))
        let early: [UInt8] = [1, 2, 3]
        let stream = message + early
        var reader = StartupReader()
        var place = 0
        var found: StartupReader.Request?
        while found == nil, place < stream.count {
            let end = min(stream.count, place + Int.random(in: 1...7, using: &random))
            found = try reader.read(stream[place..<end])
            place = end
        }
        guard case .startup(let startup) = found else {
            Issue.record("no startup message but \(String(describing: found))")
            return
        }
        #expect(startup.bytes == message)
        #expect(reader.remainder + stream[place...] == early)
    }

    @Test("Encryption may be asked for in both ways, in either order, once each")
    func encryption() throws {
        for order in [[tlsRequest, gssRequest], [gssRequest, tlsRequest]] {
            var reader = StartupReader()
            let answers = try order.map { try reader.read($0) }
            #expect(Set(answers) == [.tls, .gssEncryption])
            #expect(throws: StartupError.encryptionAskedTwice) { try reader.read(tlsRequest) }
        }
        var reader = StartupReader()
        #expect(try reader.read(tlsRequest) == .tls)
        reader.beganTLS()
        #expect(throws: StartupError.encryptionAskedTwice) { try reader.read(tlsRequest) }
    }

    @Test("What came in clear after a request for encryption is not taken for encrypted")
    func earlyData() {
        var reader = StartupReader()
        #expect(throws: StartupError.dataBeforeEncryption) { try reader.read(tlsRequest + startup()) }
        var other = StartupReader()
        #expect(throws: StartupError.dataBeforeEncryption) { try other.read(gssRequest + [0]) }
    }

    @Test("Direct TLS is seen by its first byte, but not inside TLS")
    func directTLS() throws {
        var reader = StartupReader()
        #expect(try reader.read([0x16, 3, 1]) == .directTLS)
        #expect(reader.remainder == [0x16, 3, 1])
        reader.beganTLS()
        #expect(reader.remainder.isEmpty)
        #expect(throws: StartupError.notPostgres) { try reader.read([0x16, 3, 1]) }
    }

    @Test("Cancel keys have 4 bytes in protocol 3.0 and up to 256 in 3.2", arguments: [4, 32, 256])
    func cancel(keyBytes: Int) throws {
        var reader = StartupReader()
        let request = packet(80_877_102, bigEndian(4711) + Array(repeating: 7, count: keyBytes))
        guard case .cancel(let cancel)? = try reader.read(request) else {
            Issue.record("not a cancel request")
            return
        }
        #expect(cancel.bytes == request)
    }

    @Test("Cancel keys of other lengths are refused", arguments: [0, 3, 257])
    func cancelLength(keyBytes: Int) {
        var reader = StartupReader()
        let request = packet(80_877_102, bigEndian(4711) + Array(repeating: 7, count: keyBytes))
        #expect(throws: StartupError.lengthInvalid(request.count)) { try reader.read(request) }
    }

    @Test("Wrong openings get an error with the reason")
    func wrong() {
        let cases: [([UInt8], StartupError)] = [
            (Array("GET / HTTP/1.1\r\n".utf8), .notPostgres),
            (bigEndian(7) + [0, 0, 0], .lengthInvalid(7)),
            (bigEndian(10_005) + bigEndian(3 << 16), .lengthInvalid(10_005)),
            (packet(2 << 16, Array("x\0".utf8)), .versionUnsupported(major: 2, minor: 0)),
            (packet(3 << 16, Array("user\0me".utf8)), .layoutInvalid),
            (packet(3 << 16), .layoutInvalid),
        ]
        for (bytes, error) in cases {
            var reader = StartupReader()
            #expect(throws: error) { try reader.read(bytes) }
            #expect(error.response.bytes.first == UInt8(ascii: "E"))
        }
    }

    private func asksForReplication(_ text: String) throws -> Bool? {
        var reader = StartupReader()
        guard case .startup(let message)? = try reader.read(startup(text)) else { return nil }
        return message.asksForReplication
    }

    /// What PostgreSQL's `parse_bool` takes for true, and "database".
    @Test(
        "Whoever asks for a walsender is seen, in all the words that Postgres takes",
        arguments: [
            "database", "true", "tru", "tr", "t", "TRUE", "T", "yes", "ye", "y", "YeS", "on", "ON", "1",
        ])
    func replication(value: String) throws {
        #expect(try asksForReplication("user\0me\0replication\0\(value)\0\0") == true)
        #expect(try asksForReplication("replication\0\(value)\0user\0me\0\0") == true)
        // Postgres goes by the last of them, and a version to come perhaps by the first.
        #expect(try asksForReplication("replication\0off\0replication\0\(value)\0\0") == true)
        #expect(try asksForReplication("replication\0\(value)\0replication\0off\0\0") == true)
    }

    @Test(
        "Whoever does not ask for a walsender is not taken for it",
        arguments: [
            "false", "f", "off", "of", "no", "n", "0", "", "o", "O", "2", "11", "truex", "true ", " true", "yess",
            "onn",
            "Database", "databas", "databases",
        ])
    func noReplication(value: String) throws {
        #expect(try asksForReplication("user\0me\0replication\0\(value)\0\0") == false)
        // A word somewhere else is no parameter.
        #expect(try asksForReplication("user\0replication\0database\0true\0\0") == false)
        #expect(
            try asksForReplication("options\0-c replication=true\0Replication\0true\0replicatio\0true\0\0") == false)
    }

    @Test(
        "A packet that Postgres could not read is no startup packet",
        arguments: ["user\0\0me\0\0", "user\0me\0\0\0", "user\0me\0x\0", "\0\0", "user\0me\0\0replication\0true\0\0"])
    func layout(text: String) {
        var reader = StartupReader()
        #expect(throws: StartupError.layoutInvalid) { try reader.read(startup(text)) }
    }

    @Test("A packet without parameters is a startup packet")
    func noParameters() throws {
        #expect(try asksForReplication("\0") == false)
    }

    @Test("The longest packet Postgres takes is taken")
    func longest() throws {
        let name = String(repeating: "n", count: StartupReader.packetBytesMax - 4 - 7)
        let message = startup("user\0\(name)\0\0")
        #expect(message.count == StartupReader.packetBytesMax + 4)
        var reader = StartupReader()
        guard case .startup? = try reader.read(message) else {
            Issue.record("not taken")
            return
        }
    }

    @Test("Garbage never does more than end in an error", arguments: UInt64(0)..<200)
    func garbage(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var reader = StartupReader()
        var taken = 0
        // Half of the runs begin like a packet, to get further.
        var next: [UInt8] = Bool.random(using: &random) ? [0, 0] : []
        do {
            for _ in 0..<2_000 {
                next += (0..<Int.random(in: 1...20, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                taken += next.count
                if try reader.read(next) != nil { return }
                #expect(reader.remainder.count <= StartupReader.packetBytesMax + 4)
                next = []
            }
            Issue.record("took \(taken) bytes without a verdict")
        } catch {
            #expect(!error.response.message.isEmpty)
        }
    }
}

@Suite("Errors of the edge's own")
struct ErrorResponseTests {
    @Test("The bytes are what Postgres clients expect")
    func bytes() {
        let bytes = ErrorResponse(.cannotConnectNow, "no\0t now", hint: "later").bytes
        let fields = Array("SFATAL\0VFATAL\0C57P03\0Mnot now\0Hlater\0\0".utf8)
        #expect(bytes == [UInt8(ascii: "E")] + bigEndian(UInt32(fields.count + 4)) + fields)
    }
}
