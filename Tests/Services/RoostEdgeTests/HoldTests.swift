import Glibc
import RoostEdge
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@Suite("An edge when a cluster changes", .serialized, .timeLimit(.minutes(2)))
struct HoldTests {
    private func connect(_ edge: EdgeUnderTest, _ access: Access = .write) throws -> RawClient {
        let client = try RawClient(edge.address, edge.port(access))
        try client.send(startup())
        return client
    }

    @Test("A new epoch cuts the old leader's sessions within 100 ms; new ones wait for the new leader, in order")
    func newEpoch() async throws {
        try await withBackend("a", .primary) { a in
            try await withBackend("b", .primary) { b in
                try await withEdge { edge in
                    try await edge.serve(try route(1, leader: a.backend))
                    var old: [RawClient] = []
                    for _ in 0..<20 {
                        let client = try connect(edge)
                        try await client.receive(until: isReady)
                        old.append(client)
                    }
                    let start = BootClock.now()
                    edge.service.update(
                        ClusterTable([edge.address: try route(2, leader: b.backend, isOpen: false, isRecruiting: true)])
                    )
                    for client in old { _ = try await client.receiveAll(within: .seconds(8)) }
                    let cut = BootClock.now() - start
                    #expect(cut < .milliseconds(100), "cut after \(cut)")

                    let waiting = try (0..<20).map { _ in try connect(edge) }
                    try await expectStats(edge) { $0.held == 20 }
                    #expect(b.connections == 0)
                    let opening = BootClock.now()
                    edge.service.update(ClusterTable([edge.address: try route(2, leader: b.backend)]))
                    for client in waiting {
                        #expect(member(in: try await client.receive(until: isReady)) == "b")
                    }
                    let released = BootClock.now() - opening
                    #expect(released < .milliseconds(500), "released after \(released)")
                    try await expectStats(edge) {
                        $0.cut == 20 && $0.held == 0 && $0.everHeld == 20 && $0.relaying == 20
                    }
                    let freed = try await poll(for: .seconds(8)) { a.open == 0 ? true : nil }
                    #expect(freed == true, "the old leader still has \(a.open) connections")
                }
            }
        }
    }

    @Test("A refused, closing or starting backend is retried unseen until it serves")
    func retried() async throws {
        for manner in [FakeBackend.Manner.starting, .closing, .standby] {
            try await withBackend("a", manner) { a in
                try await withEdge { edge in
                    try await edge.serve(try route(leader: a.backend))
                    let client = try connect(edge)
                    let tried = try await poll(for: .seconds(8)) { a.connections >= 3 ? true : nil }
                    #expect(tried == true)
                    client.take()
                    #expect(client.received.isEmpty && !client.isEnded)
                    a.become(.primary)
                    #expect(member(in: try await client.receive(until: isReady)) == "a")
                }
            }
        }
        // Nobody listens yet.
        let absent = try await FakeBackend("a", .primary)
        await absent.stop()
        try await withEdge { edge in
            try await edge.serve(try route(leader: absent.backend))
            let client = try connect(edge)
            try await expectStats(edge) { $0.attemptsFailed >= 2 }
            let present = try await FakeBackend("a", .primary, port: Int(absent.backend.port))
            let stream = try await client.receive(until: isReady)
            #expect(member(in: stream) == "a")
            await present.stop()
        }
    }

    @Test("A leader that has not said that it is open is tried until its host lets the edge in")
    func notYetOpen() async throws {
        try await withBackend("a", .closing) { a in
            try await withEdge { edge in
                try await edge.serve(try route(2, leader: a.backend, isOpen: false))
                let client = try connect(edge)
                let tried = try await poll(for: .seconds(8)) { a.connections >= 3 ? true : nil }
                #expect(tried == true)
                a.become(.primary)
                #expect(member(in: try await client.receive(until: isReady)) == "a")
            }
        }
    }

    @Test("A dead primary sees a few attempts at a time, however many clients wait")
    func fewScouts() async throws {
        try await withBackend("a", .silent) { a in
            try await withEdge({
                $0.session.firstReplyTime = .milliseconds(300)
                $0.logins = .init(serviceMax: 1_000, sourceMax: 1_000)
                // All of them come from one source here.
                $0.hold.burstSourceMax = 256
                $0.hold.scoutsSourceMax = 8
            }) { edge in
                try await edge.serve(try route(leader: a.backend, isOpen: false, isRecruiting: true))
                let clients = try (0..<300).map { _ in try connect(edge) }
                try await expectStats(edge) { $0.held == 300 }
                edge.service.update(ClusterTable([edge.address: try route(leader: a.backend)]))
                try await expectStats(edge) { $0.attemptsFailed >= 256 }
                // The first burst is over; from now on it is scouts only.
                let burst = a.connections
                #expect(burst <= 256 + 8)
                try await expectStats(edge) { $0.attemptsFailed >= burst + 8 }
                #expect(a.open <= 8 + 8)
                a.become(.primary)
                for client in clients { #expect(member(in: try await client.receive(until: isReady)) == "a") }
            }
        }
    }

    @Test("Waiting ends with an error that says what to do, and so does a full queue")
    func bounds() async throws {
        try await withEdge({
            $0.hold.waitMax = .milliseconds(400)
            $0.hold.doorMax = 2
        }) { edge in
            try await edge.serve(try route(leader: nil))
            let first = try connect(edge)
            let second = try connect(edge)
            try await expectStats(edge) { $0.held == 2 }
            let third = try connect(edge)
            let crowded = error(in: try await third.receiveAll())
            #expect(crowded?.code == "53300")
            for client in [first, second] {
                let waited = error(in: try await client.receiveAll(within: .seconds(8)))
                #expect(waited?.code == "57P03")
                #expect(waited?.text.contains("cluster db") == true)
            }
            try await expectStats(edge) { $0.held == 0 && $0.sessions == 0 }
        }
    }

    @Test("A network whose share of the queue is full is told so")
    func share() async throws {
        try await withEdge({
            $0.hold.doorMax = 2
            $0.hold.doorSourceMax = 1
        }) { edge in
            try await edge.serve(try route(leader: nil))
            let first = try connect(edge)
            try await expectStats(edge) { $0.held == 1 }
            let told = error(in: try await connect(edge).receiveAll())
            #expect(told?.code == "53300" && told?.text.contains("your network") == true, "\(told as Any)")
            first.close()
            try await expectStats(edge) { $0.held == 0 }
        }
    }

    @Test("A client that goes while it waits leaves its place")
    func leaves() async throws {
        try await withEdge { edge in
            try await edge.serve(try route(leader: nil))
            let client = try connect(edge)
            try await expectStats(edge) { $0.held == 1 }
            client.close()
            try await expectStats(edge) { $0.held == 0 && $0.sessions == 0 }
        }
    }

    @Test("A standby behind the write port is never shown as a session")
    func standby() async throws {
        try await withBackend("a", .standbyWithPassword) { a in
            try await withBackend("b", .primary) { b in
                try await withEdge { edge in
                    try await edge.serve(try route(1, leader: a.backend))
                    let asked = try connect(edge)
                    try await asked.receive { messages(in: $0).last?.type == "R" }
                    try asked.send(message("p", Array("secret\0".utf8)))
                    let stream = try await asked.receiveAll()
                    #expect(messages(in: stream).map(\.type) == ["R", "E"])
                    #expect(error(in: stream)?.code == "57P03")
                    // Where nothing was shown, the client waits for the real primary.
                    a.become(.standby)
                    let patient = try connect(edge)
                    try await expectStats(edge) { $0.attemptsFailed >= 1 }
                    edge.service.update(ClusterTable([edge.address: try route(2, leader: b.backend)]))
                    #expect(member(in: try await patient.receive(until: isReady)) == "b")
                }
            }
        }
    }

    @Test("A login at the old leader is taken to the new one when the epoch changes under it")
    func epochDuringLogin() async throws {
        try await withBackend("a", .silent) { a in
            try await withBackend("b", .primary) { b in
                try await withEdge { edge in
                    try await edge.serve(try route(1, leader: a.backend))
                    let client = try connect(edge)
                    let asked = try await poll(for: .seconds(8)) { a.firstPackets.count == 1 ? true : nil }
                    #expect(asked == true)
                    edge.service.update(ClusterTable([edge.address: try route(2, leader: b.backend)]))
                    #expect(member(in: try await client.receive(within: .seconds(8), until: isReady)) == "b")
                }
            }
        }
    }

    @Test("Readers go to the nearest fit replica, to the next if it is gone, and to the leader at last")
    func readers() async throws {
        let gone = try await FakeBackend("c", .standby)
        await gone.stop()
        try await withBackend("a", .primary) { a in
            try await withBackend("b", .standby) { b in
                try await withEdge { edge in
                    let far = replica(b.backend, milliseconds: 100)
                    let near = replica(gone.backend, milliseconds: 10)
                    try await edge.serve(try route(leader: a.backend, replicas: [far, near]))
                    #expect(member(in: try await connect(edge, .read).receive(until: isReady)) == "b")
                    let unfit = replica(b.backend, isStreaming: false)
                    edge.service.update(
                        ClusterTable([edge.address: try route(leader: a.backend, replicas: [unfit, near])]))
                    #expect(member(in: try await connect(edge, .read).receive(until: isReady)) == "a")
                    #expect(edge.service.stats().held == 0)
                }
            }
        }
    }

    @Test("Readers stay through a failover, and leave a replica that stays behind")
    func readersBehind() async throws {
        try await withBackend("a", .primary) { a in
            try await withBackend("b", .standby) { b in
                try await withEdge({ $0.session.replicas.lagMax = .milliseconds(300) }) { edge in
                    try await edge.serve(try route(1, leader: a.backend, replicas: [replica(b.backend)]))
                    let reader = try connect(edge, .read)
                    try await reader.receive(until: isReady)
                    let unfit = replica(b.backend, isStreaming: false)
                    edge.service.update(
                        ClusterTable([edge.address: try route(2, leader: a.backend, replicas: [unfit])]))
                    reader.take()
                    #expect(!reader.isEnded)
                    _ = try await reader.receiveAll(within: .seconds(8))
                    #expect(edge.service.stats().cut == 1)
                }
            }
        }
    }

    @Test("A cluster that goes takes its sessions and those that wait with it, and its address is refused")
    func clusterGone() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                let session = try connect(edge)
                try await session.receive(until: isReady)
                edge.service.update(
                    ClusterTable([edge.address: try route(leader: a.backend, isOpen: false, isRecruiting: true)]))
                let waiting = try connect(edge)
                try await expectStats(edge) { $0.held == 1 }
                session.take()
                #expect(!session.isEnded, "a leader that is not open keeps its sessions")
                try await edge.serve(nil)
                _ = try await session.receiveAll()
                #expect(error(in: try await waiting.receiveAll())?.code == "57P03")
                let late = try RawClient(edge.address, edge.writePort)
                #expect(try await late.receiveAll().isEmpty)
                #expect(edge.service.stats().strays == 1)
            }
        }
    }
}
