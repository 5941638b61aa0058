import RoostEdge
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@Suite("An edge and what clients open with", .serialized, .timeLimit(.minutes(2)))
struct OpeningTests {
    @Test("A startup packet may come byte by byte, and reaches the backend whole")
    func split() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                let client = try RawClient(edge.address, edge.writePort)
                for byte in startup() {
                    try client.send([byte])
                    try await Task.sleep(for: .microseconds(100))
                }
                let stream = try await client.receive(until: isReady)
                #expect(member(in: stream) == "a")
                #expect(a.firstPackets == [startup()])
                // From here on it is a wire.
                client.forget()
                let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
                try client.send(bytes)
                #expect(try await client.receive { $0.count >= bytes.count } == bytes)
            }
        }
    }

    @Test("Encryption that is not offered is answered with 'N', and the client may go on in clear")
    func noEncryption() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(gssRequest)
                try await client.receive { $0 == Array("N".utf8) }
                try client.send(tlsRequest)
                try await client.receive { $0 == Array("NN".utf8) }
                client.forget()
                try client.send(startup())
                #expect(member(in: try await client.receive(until: isReady)) == "a")
            }
        }
    }

    @Test("Nonsense gets an error and the end, and the edge goes on")
    func garbage() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                for (bytes, code) in [
                    (Array("GET / HTTP/1.1\r\n\r\n".utf8), "08P01"), (packet(2 << 16, [0]), "0A000"),
                    (tlsRequest + startup(), "08P01"), (bigEndian(100_000) + [1], "08P01"),
                ] {
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(bytes)
                    #expect(error(in: try await client.receiveAll())?.code == code)
                }
                // A TLS hello where there is no certificate: no answer that the client could read.
                let tls = try RawClient(edge.address, edge.writePort)
                try tls.send([0x16, 3, 1, 0, 1])
                #expect(try await tls.receiveAll().isEmpty)
                #expect(a.connections == 0)
                try await expectStats(edge) { $0.sessions == 0 }
            }
        }
    }

    @Test("A startup packet that asks for a walsender gets an answer at both ports, and no member hears of it")
    func replication() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                for (value, port) in [("database", edge.writePort), ("true", edge.readPort), ("1", edge.writePort)] {
                    let client = try RawClient(edge.address, port)
                    try client.send(startup("replication\0\(value)\0"))
                    let told = error(in: try await client.receiveAll())
                    #expect(
                        told?.code == "0A000" && told?.text.contains("replication") == true, "\(value): \(told as Any)")
                }
                #expect(a.connections == 0)
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(startup("replication\0false\0"))
                #expect(member(in: try await client.receive(until: isReady)) == "a")
            }
        }
    }

    @Test("A client that does not come to the point is closed in time")
    func slowClient() async throws {
        try await withEdge { edge in
            try await edge.serve(try route(leader: nil))
        }
        try await withEdge({ $0.session.startupTime = .milliseconds(300) }) { edge in
            try await edge.serve(try route(leader: nil))
            let silent = try RawClient(edge.address, edge.writePort)
            let slow = try RawClient(edge.address, edge.readPort)
            try slow.send([0, 0, 0])
            #expect(try await silent.receiveAll(within: .seconds(8)).isEmpty)
            #expect(try await slow.receiveAll(within: .seconds(8)).isEmpty)
            try await expectStats(edge) { $0.sessions == 0 && $0.accepted == 2 }
        }
    }

    @Test("Where the certificate cannot be used nobody is served, and nobody in clear instead")
    func brokenCertificate() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                // A certificate that is none.
                let broken = TLSIdentity(certificateChain: "-----BEGIN", privateKey: "-----BEGIN")
                for encryption in [Encryption.required(broken), .optional(broken), .unusable] {
                    try await edge.serve(try route(leader: a.backend, encryption: encryption))
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(tlsRequest)
                    try await client.receive { $0 == Array("N".utf8) }
                    client.forget()
                    try client.send(startup())
                    let told = error(in: try await client.receiveAll())
                    #expect(told?.code == "57P03" && told?.text.contains("certificate") == true)
                }
                #expect(a.connections == 0)
            }
        }
    }

    @Test("Sessions are bounded in number, and those beyond are told")
    func crowd() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge({ $0.admission.edgeMax = 3 }) { edge in
                try await edge.serve(try route(leader: a.backend))
                var clients: [RawClient] = []
                for _ in 0..<3 {
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(startup())
                    try await client.receive(until: isReady)
                    clients.append(client)
                }
                // It has said something that nobody reads: what it is told must not be taken back by a reset.
                let fourth = try RawClient(edge.address, edge.writePort)
                try fourth.send(startup() + [UInt8](repeating: 7, count: 4_000))
                #expect(error(in: try await fourth.receiveAll())?.code == "53300")
                clients[0].close()
                try await expectStats(edge) { $0.sessions == 2 }
                let fifth = try RawClient(edge.address, edge.writePort)
                try fifth.send(startup())
                try await fifth.receive(until: isReady)
            }
        }
    }

    @Test("A cancel request reaches every member the session may be on, and ends with the connection")
    func cancel() async throws {
        try await withBackend("a", .closing) { a in
            try await withBackend("b", .closing) { b in
                try await withEdge { edge in
                    try await edge.serve(try route(leader: a.backend, replicas: [replica(b.backend)]))
                    let request = packet(80_877_102, bigEndian(42) + Array(repeating: 9, count: 32))
                    let writer = try RawClient(edge.address, edge.writePort)
                    try writer.send(request)
                    #expect(try await writer.receiveAll().isEmpty)
                    #expect(a.firstPackets == [request])
                    #expect(b.connections == 0)
                    let reader = try RawClient(edge.address, edge.readPort)
                    try reader.send(request)
                    #expect(try await reader.receiveAll().isEmpty)
                    #expect(a.firstPackets.count == 2)
                    #expect(b.firstPackets == [request])
                    #expect(edge.service.stats().cancels == 2)
                }
            }
        }
    }

    @Test("A cancel request that no member takes ends in time")
    func cancelInTime() async throws {
        try await withBackend("a", .silent) { a in
            try await withEdge({ $0.session.cancelTime = .milliseconds(200) }) { edge in
                try await edge.serve(try route(leader: a.backend))
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(packet(80_877_102, bigEndian(42) + bigEndian(43)))
                #expect(try await client.receiveAll(within: .seconds(8)).isEmpty)
                let freed = try await poll(for: .seconds(8)) { a.open == 0 ? true : nil }
                #expect(freed == true)
            }
        }
    }
}
