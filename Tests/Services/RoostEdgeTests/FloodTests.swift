import Glibc
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization
import Testing

@testable import RoostEdge

@Suite("An edge in a flood of handshakes", .serialized, .timeLimit(.minutes(2)))
struct FloodTests {
    @Test("A late answer is no sign of illness while clients are answered and the loops turn")
    func signs() {
        var signs = HealthSigns(answer: .inTime, answersClients: false, isShort: false, stillness: .zero)
        #expect(signs.isHealthy)
        // Nobody is answered, and the check is not either.
        signs.answer = .late
        #expect(!signs.isHealthy)
        signs.answersClients = true
        #expect(signs.isHealthy)
        // Others are answered, by other loops than the one that hangs.
        signs.stillness = HealthSigns.stillnessMax
        #expect(!signs.isHealthy)
        // Others are answered, at other addresses than the one where nobody is.
        signs = HealthSigns(answer: .refused, answersClients: true, isShort: false, stillness: .zero)
        #expect(!signs.isHealthy)
        signs.isShort = true
        #expect(signs.isHealthy)
        signs = HealthSigns(answer: .late, answersClients: false, isShort: true, stillness: .milliseconds(900))
        #expect(signs.isHealthy)
        signs.stillness = .seconds(3)
        #expect(!signs.isHealthy)
    }

    private static func identity() async throws -> TLSIdentity {
        let folder = "/tmp/roost-flood-\(getpid())"
        try DurableFile.makeFolder(folder)
        let identity = try await PostgresPair.makeCertificate(for: EdgeUnderTest.freshAddress(), in: folder)
        try await Command("rm", ["-r", folder]).run()
        return identity
    }

    @Test("One network gets its share of the handshakes, is told so beyond it, and takes nothing from the others")
    func share() async throws {
        let identity = try await Self.identity()
        let (own, spare) = (RateLimit(burst: 60, perSecond: 20), RateLimit(burst: 30, perSecond: 10))
        try await withEdge({
            $0.loops = 1
            $0.admission.sourceArrivals = own
            $0.admission.spareArrivals = spare
        }) { edge in
            try await edge.serve(try route(leader: nil, encryption: .optional(identity)))
            let flood = HandshakeFlood(edge.address, edge.writePort)
            let began = BootClock.now()
            try flood.begin()
            defer { flood.end() }
            // Ten times its share has come.
            try await expectStats(edge) { $0.accepted > 10 * (own.burst + spare.burst) }
            let seconds = Int((BootClock.now() - began).components.seconds) + 1
            let handshakes = edge.service.stats().tls
            let most = own.burst + spare.burst + seconds * (own.perSecond + spare.perSecond)
            #expect((own.burst...most).contains(handshakes), "\(handshakes) of \(most) in \(seconds) s")
            // What is another network's own is there for it, in the middle of the flood.
            for _ in 0..<own.burst / 2 {
                let other = try RawClient(edge.address, edge.writePort, from: IPv4Address("127.0.9.1"))
                try other.send(tlsRequest)
                try await other.receive { $0 == [UInt8(ascii: "S")] }
            }
            flood.end()
            let told = try await poll(for: .seconds(8)) { () -> String? in
                let crowd = try (0..<2 * (own.burst + spare.burst)).map { _ in
                    try RawClient(edge.address, edge.writePort)
                }
                return try await poll(for: .seconds(2), every: .milliseconds(5)) { () -> String? in
                    for client in crowd { client.take() }
                    return crowd.lazy.compactMap { error(in: $0.received) }.first { $0.code == "53300" }?.text
                }
            }
            #expect(told?.contains("too many new connections") == true, "\(told ?? "nothing")")
        }
    }

    @Test("The edge stays healthy, and a session that is under way goes on", .timeLimit(.minutes(1)))
    func flood() async throws {
        let identity = try await Self.identity()
        try await withBackend("a", .primary) { a in
            try await withEdge({
                $0.loops = 1
                // As from many networks: nobody's rate is reached.
                $0.admission.sourceArrivals = RateLimit(burst: 1_000_000, perSecond: 1_000_000)
            }) { edge in
                try await edge.serve(try route(leader: a.backend, encryption: .optional(identity)))
                let session = try RawClient(edge.address, edge.writePort)
                try session.send(startup())
                try await session.receive(until: isReady)
                let flood = HandshakeFlood(edge.address, edge.writePort)
                try flood.begin()
                try await expectStats(edge) { $0.tls > 2 * HandshakeFlood.width }
                var slowest = Duration.zero
                for number in 0..<8 {
                    #expect(await edge.service.health(), "check \(number)")
                    session.forget()
                    let asked = BootClock.now()
                    try session.send([1, 2, 3])
                    try await session.receive { $0 == [1, 2, 3] }
                    slowest = max(slowest, BootClock.now() - asked)
                }
                flood.end()
                print("\(edge.service.stats().tls) handshakes; a session waited \(slowest.milliseconds) ms at most")
                #expect(slowest < .seconds(1))
            }
        }
    }
}

/// Many clients that ask for TLS, send what makes the edge compute, and are gone: the most work for the least.
private final class HandshakeFlood: Sendable {
    /// Connections at a time.
    static let width = 400
    private let isOver = Atomic(false)
    private let isGone = Atomic(false)
    private let address: IPv4Address
    private let port: Int

    init(_ address: IPv4Address, _ port: Int) {
        self.address = address
        self.port = port
    }

    /// TLS 1.2 (RFC 5246, 7.4.1.2): the answer takes a fresh ECDH key and a signature.
    private static let hello: [UInt8] = {
        let suites: [UInt8] = [0, 4, 0xc0, 0x2b, 0xc0, 0x23]
        let groups: [UInt8] = [0, 10, 0, 4, 0, 2, 0, 0x17]
        let formats: [UInt8] = [0, 11, 0, 2, 1, 0]
        let signatures: [UInt8] = [0, 13, 0, 4, 0, 2, 4, 3]
        let extensions = groups + formats + signatures
        let body =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [0] + suites + [1, 0] + [0, UInt8(extensions.count)]
            + extensions
        let handshake: [UInt8] = [1, 0, 0, UInt8(body.count)] + body
        return [22, 3, 1, 0, UInt8(handshake.count)] + handshake
    }()

    func begin() throws {
        let flood = self
        try OwnThread.start("flood") { flood.run() }
    }

    func end() {
        isOver.store(true, ordering: .relaxed)
        while !isGone.load(ordering: .relaxed) { usleep(1_000) }
    }

    private func run() {
        var clients: [RawClient] = []
        while !isOver.load(ordering: .relaxed) {
            for _ in clients.count..<max(Self.width, clients.count) {
                guard let client = try? RawClient(address, port) else { continue }
                _ = client.sendWithoutWaiting(tlsRequest)
                clients.append(client)
            }
            for client in clients {
                client.take()
                if client.received == [UInt8(ascii: "S")] {
                    _ = client.sendWithoutWaiting(Self.hello)
                    client.forget(first: 1)
                }
            }
            clients.removeAll { $0.isEnded || !$0.received.isEmpty }
        }
        isGone.store(true, ordering: .relaxed)
    }
}
