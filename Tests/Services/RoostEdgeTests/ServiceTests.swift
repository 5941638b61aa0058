import Glibc
import NIOCore
import NIOPosix
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization
import Testing

@testable import RoostEdge

@Suite("An edge as a service", .serialized, .timeLimit(.minutes(2)))
struct ServiceTests {
    @Test("Stopped, it takes nobody new and lets sessions go on; started again, it takes them")
    func accepting() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                // Never told anything, it would refuse everybody near it.
                try await expectStats(edge) { $0.listenersOpen == 4 }
                #expect(await edge.service.health() == false)
                edge.service.update(ClusterTable())
                #expect(await edge.service.health())
                try await edge.serve(try route(leader: a.backend))
                #expect(await edge.service.health())
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(startup())
                try await client.receive(until: isReady)

                edge.service.setAccepting(false)
                try await expectStats(edge) { $0.listenersOpen == 0 }
                #expect(throws: SystemError.self) { try RawClient(edge.address, edge.writePort) }
                #expect(await edge.service.health() == false)
                client.forget()
                try client.send([1, 2, 3])
                try await client.receive { $0 == [1, 2, 3] }

                edge.service.setAccepting(true)
                try await expectStats(edge) { $0.listenersOpen == 4 }
                #expect(await edge.service.health())
                // The check's own connections are not sessions that stay.
                try await expectStats(edge) { $0.sessions == 1 }
            }
        }
    }

    @Test("Before it runs and after it stopped it is not healthy")
    func lifeless() async throws {
        let edge = try EdgeUnderTest()
        try await edge.serve(try route(leader: nil))
        #expect(await edge.service.health())
        await edge.stop()
        #expect(await edge.service.health() == false)
        #expect(await EdgeService().health() == false)
    }

    @Test("An event loop that hangs is seen within the bound")
    func hungLoop() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops = Array(group.makeIterator())
        let askers = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let probe = HealthProbe(loops: loops, asker: askers.any(), port: 1)
        #expect(await probe.check(nil, within: .seconds(2)) == .inTime)
        let isReleased = Atomic(false)
        loops[1].execute { while !isReleased.load(ordering: .relaxed) { usleep(1_000) } }
        let start = BootClock.now()
        #expect(await probe.check(nil, within: .milliseconds(200)) == .late)
        #expect(BootClock.now() - start < .milliseconds(900))
        isReleased.store(true, ordering: .relaxed)
        #expect(await probe.check(nil, within: .seconds(2)) == .inTime)
        // Nobody listens at the address.
        #expect(await probe.check(EdgeUnderTest.freshAddress(), within: .seconds(2)) == .refused)
        try await group.shutdownGracefully()
        try await askers.shutdownGracefully()
    }

    @Test("A port that cannot be bound is taken when it can be, and until then the edge is not healthy")
    func portTaken() async throws {
        let taken = try freePorts(1, AF_INET)[0]
        let blocker = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: taken).get()
        try await withEdge({ $0.readPort = taken }) { edge in
            edge.service.update(ClusterTable([edge.address: try route(leader: nil)]))
            try await expectStats(edge) { $0.listenersWanted == 4 && $0.listenersOpen == 2 }
            #expect(await edge.service.health() == false)
            let client = try RawClient(edge.address, edge.writePort)
            client.close()
            try await blocker.close().get()
            try await expectStats(edge) { $0.listenersOpen == 4 }
            #expect(await edge.service.health())
        }
    }

    @Test("One listener serves every address, each with its own cluster; an address that no cluster has is refused")
    func addresses() async throws {
        try await withBackend("a", .primary) { a in
            try await withBackend("b", .primary) { b in
                try await withEdge { edge in
                    let other = EdgeUnderTest.freshAddress()
                    var second = try route(leader: b.backend)
                    second.app = try AppName("other")
                    edge.service.update(ClusterTable([edge.address: try route(leader: a.backend), other: second]))
                    try await expectStats(edge) { $0.listenersOpen == 4 && $0.listenersWanted == 4 }
                    for (address, name) in [(edge.address, "a"), (other, "b")] {
                        let client = try RawClient(address, edge.writePort)
                        try client.send(startup())
                        #expect(member(in: try await client.receive(until: isReady)) == name)
                    }
                    let stray = try RawClient(EdgeUnderTest.freshAddress(), edge.writePort)
                    #expect(try await stray.receiveAll().isEmpty)
                    try await expectStats(edge) { $0.strays == 1 }
                }
            }
        }
    }

    @Test("The check leaves no socket behind")
    func checkLeavesNothing() async throws {
        try await withEdge { edge in
            try await edge.serve(try route(leader: nil))
            for _ in 0..<20 { #expect(await edge.service.health()) }
            let port = String(edge.writePort, radix: 16, uppercase: true)
            let file = try DurableFile.read("/proc/net/tcp") ?? []
            // State 06 is TIME-WAIT (include/net/tcp_states.h).
            let resting = String(decoding: file, as: UTF8.self).split(separator: "\n")
                .filter { $0.contains(":\(String(repeating: "0", count: 4 - port.count))\(port) 06") }
            #expect(resting.isEmpty, "\(resting)")
        }
    }

    @Test("Out of file descriptors, the edge goes on listening, and serves again when there are some")
    func fileLimit() async throws {
        // In a process of its own: the limit is the whole process's.
        await #expect(processExitsWith: .success) {
            var limit = rlimit(rlim_cur: 90, rlim_max: 90)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            try await withEdge({ $0.loops = 1 }) { edge in
                edge.service.update(ClusterTable([edge.address: try route(leader: nil)]))
                try await expectStats(edge) { $0.listenersOpen == 2 }
                var hoard: [Int32] = []
                while case let file = dup(0), file >= 0 { hoard.append(file) }
                // One for the client; none is left for the edge.
                close(hoard.removeLast())
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(gssRequest)
                try await Task.sleep(for: .milliseconds(300))
                client.take()
                guard client.received.isEmpty, !client.isEnded, edge.service.stats().accepted == 0 else {
                    throw EdgeTestFailure("it was accepted without a file descriptor")
                }
                // The shortage is the host's: no reason to withdraw.
                guard await edge.service.health(), edge.service.stats().shortages > 0 else {
                    throw EdgeTestFailure("a shortage of files is taken for the death of the edge")
                }
                for file in hoard { close(file) }
                try await client.receive { $0 == [UInt8(ascii: "N")] }
            }
        }
    }

    @Test("1,000 idle sessions, and one among them that works")
    func idle() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                let before = residentBytes()
                var clients: [RawClient] = []
                for _ in 0..<1_000 {
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(startup())
                    clients.append(client)
                }
                for client in clients { try await client.receive(until: isReady) }
                try await expectStats(edge) { $0.relaying == 1_000 }
                // The fake backend's 1,000 connections live in this process too.
                let each = (residentBytes() - before) / 1_000
                #expect(each < 64 << 10, "\(each) bytes for each idle session")
                clients[500].forget()
                try clients[500].send([7])
                try await clients[500].receive { $0 == [7] }
                for client in clients { client.close() }
                try await expectStats(edge) { $0.sessions == 0 && $0.relaying == 0 }
                let freed = try await poll(for: .seconds(8)) { a.open == 0 ? true : nil }
                #expect(freed == true)
            }
        }
    }

    @Test("A reader that does not read stops the sender, in both directions")
    func slowReader() async throws {
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend))
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(startup())
                try await client.receive(until: isReady)
                client.forget()
                // The backend sends everything back; nobody reads it.
                let chunk = [UInt8](repeating: 5, count: 64 << 10)
                let before = residentBytes()
                var sent = 0
                var isStuck = 0
                while sent < 256 << 20, isStuck < 20 {
                    let count = client.sendWithoutWaiting(chunk)
                    sent += count
                    isStuck = count == 0 ? isStuck + 1 : 0
                    if count == 0 { try await Task.sleep(for: .milliseconds(5)) }
                }
                #expect(sent < 256 << 20, "nothing stopped the sender")
                #expect(residentBytes() - before < 64 << 20)
                let stream = try await client.receive(within: .seconds(20)) { $0.count >= sent }
                #expect(stream.count == sent && stream.allSatisfy { $0 == 5 })
            }
        }
    }
}

/// The resident memory of this process.
func residentBytes() -> Int {
    guard let text = try? DurableFile.read("/proc/self/statm") else { return 0 }
    let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}
