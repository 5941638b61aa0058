import Glibc
import RoostEdge
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@Suite("An edge and too many clients", .serialized, .timeLimit(.minutes(2)))
struct CrowdTests {
    private func connect(_ edge: EdgeUnderTest, _ access: Access = .write) throws -> RawClient {
        let client = try RawClient(edge.address, edge.port(access))
        try client.send(startup())
        return client
    }

    @Test("Clients that stop at the password hold a few places only, and lose them; the others get theirs")
    func halfOpenLogins() async throws {
        try await withBackend("a", .standbyWithPassword) { a in
            try await withEdge({
                // One loop, so that they come in the order in which they connect.
                $0.loops = 1
                $0.logins = .init(serviceMax: 3, sourceMax: 3)
                $0.session.loginTime = .milliseconds(1_500)
                $0.hold.waitMax = .seconds(9)
            }) { edge in
                try await edge.serve(try route(leader: nil, replicas: [replica(a.backend)]))
                let idle = try (0..<8).map { _ in try connect(edge, .read) }
                for client in idle.prefix(3) { try await client.receive { !$0.isEmpty } }
                let (open, connections) = (a.open, a.connections)
                #expect(open == 3 && connections == 3, "\(open) places of the member are taken")
                // Those who wait are told nothing yet. Who answers gets in, once a place is free.
                let honest = try connect(edge, .read)
                try await honest.receive { messages(in: $0).last?.type == "R" }
                try honest.send(message("p", Array("secret\0".utf8)))
                #expect(member(in: try await honest.receive(until: isReady)) == "a")
                for client in idle {
                    let told = error(in: try await client.receiveAll())
                    #expect(told?.code == "57P03" && told?.text.contains("login was not over") == true)
                }
                // It is logged in: it needs no place any more, and nobody waits.
                honest.forget()
                try honest.send([1, 2, 3])
                try await honest.receive { $0 == [1, 2, 3] }
                let isAlone = try await poll(for: .seconds(8)) { a.open == 1 ? true : nil }
                #expect(isAlone == true)
            }
        }
    }

    @Test("Who waits for a place too long is told so")
    func noPlace() async throws {
        try await withBackend("a", .standbyWithPassword) { a in
            try await withEdge({
                $0.logins = .init(serviceMax: 1, sourceMax: 1, waitingMax: 1)
                $0.hold.waitMax = .milliseconds(400)
            }) { edge in
                try await edge.serve(try route(leader: nil, replicas: [replica(a.backend)]))
                let first = try connect(edge, .read)
                try await first.receive { !$0.isEmpty }
                let waiting = try connect(edge, .read)
                let crowded = try connect(edge, .read)
                for client in [waiting, crowded] {
                    let told = error(in: try await client.receiveAll())
                    #expect(told?.code == "53300" && told?.text.contains("logging in") == true)
                }
                first.close()
                let late = try connect(edge, .read)
                try await late.receive { messages(in: $0).last?.type == "R" }
            }
        }
    }

    @Test("One of many edges has a part of a cluster's logins only")
    func partOfLogins() async throws {
        try await withBackend("a", .standbyWithPassword) { a in
            try await withEdge({
                $0.loops = 1
                $0.logins = .init(serviceMax: 3, edgesMax: 3, serviceMin: 1, sourceMax: 3, waitingMax: 1)
            }) { edge in
                let leading = try route(leader: nil, replicas: [replica(a.backend)])
                try await edge.serve(leading)
                edge.service.update(ClusterTable([edge.address: leading], edges: 3))
                let first = try connect(edge, .read)
                try await first.receive { !$0.isEmpty }
                let waiting = try connect(edge, .read)
                let crowded = try connect(edge, .read)
                #expect(error(in: try await crowded.receiveAll())?.code == "53300")
                #expect(a.connections == 1)
                first.close()
                try await waiting.receive { messages(in: $0).last?.type == "R" }
            }
        }
    }

    @Test("One network cannot fill an edge, nor can one cluster's clients; each is told what is full")
    func sources() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge({
                $0.admission.sourceMax = 3
                $0.admission.serviceMax = 2
            }) { edge in
                try await edge.serve(try route(leader: a.backend))
                let first = try connect(edge)
                let second = try connect(edge)
                for client in [first, second] { try await client.receive(until: isReady) }
                let third = try connect(edge)
                #expect(error(in: try await third.receiveAll())?.text.contains("cluster db") == true)
                try await expectStats(edge) { $0.sessions == 2 }
                // One that says nothing counts among its network's.
                let silent = try RawClient(edge.address, edge.writePort)
                try await expectStats(edge) { $0.sessions == 3 }
                let fourth = try connect(edge)
                let told = error(in: try await fourth.receiveAll())
                #expect(told?.code == "53300" && told?.text.contains("your network") == true)
                silent.close()
                second.close()
                try await expectStats(edge) { $0.sessions == 1 }
                let fifth = try connect(edge)
                try await fifth.receive(until: isReady)
            }
        }
    }

    @Test("Those who are told that they are too many are bounded too")
    func refusals() async throws {
        try await withEdge({
            $0.admission.edgeMax = 0
            $0.admission.refusalsMax = 2
            $0.session.lingerTime = .seconds(5)
        }) { edge in
            try await edge.serve(try route(leader: nil))
            let told = try (0..<2).map { _ in try RawClient(edge.address, edge.writePort) }
            for client in told { #expect(error(in: try await client.receiveAll())?.code == "53300") }
            let dropped = try RawClient(edge.address, edge.writePort)
            #expect(try await dropped.receiveAll().isEmpty)
            for client in told { client.close() }
            let told2 = try await poll(for: .seconds(8)) { () -> Bool? in
                let next = try RawClient(edge.address, edge.writePort)
                return error(in: try await next.receiveAll())?.code == "53300" ? true : nil
            }
            #expect(told2 == true)
        }
    }

    @Test("Cancel requests are bounded in time")
    func cancels() async throws {
        try await withBackend("a", .closing) { a in
            try await withEdge({ $0.admission.sourceCancels = RateLimit(burst: 3, perSecond: 1) }) { edge in
                try await edge.serve(try route(leader: a.backend))
                for _ in 0..<10 {
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(packet(80_877_102, bigEndian(42) + bigEndian(43)))
                    #expect(try await client.receiveAll().isEmpty)
                }
                let stats = edge.service.stats()
                #expect(stats.cancels + stats.cancelsRefused == 10)
                #expect((3...6).contains(stats.cancels), "\(stats.cancels) were passed on")
                #expect(a.connections == stats.cancels)
            }
        }
    }

    @Test("A member that does not answer is waited for once, not by every reader")
    func silentMember() async throws {
        try await withBackend("a", .silent) { a in
            try await withBackend("b", .standby) { b in
                try await withEdge({ $0.session.firstReplyTime = .seconds(1) }) { edge in
                    let near = replica(a.backend, milliseconds: 1)
                    try await edge.serve(try route(leader: nil, replicas: [near, replica(b.backend, milliseconds: 9)]))
                    let first = try connect(edge, .read)
                    #expect(member(in: try await first.receive(until: isReady)) == "b")
                    let start = BootClock.now()
                    for _ in 0..<5 {
                        #expect(member(in: try await connect(edge, .read).receive(until: isReady)) == "b")
                    }
                    #expect(BootClock.now() - start < .milliseconds(900))
                    #expect(a.connections == 1)
                }
            }
        }
    }
}
