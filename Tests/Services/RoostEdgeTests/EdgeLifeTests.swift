import Glibc
import Logging
import NIOCore
import NIOPosix
import RoostEdgeLink
import RoostEdgeWire
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import RoostWire
import Synchronization
import Testing

@testable import RoostEdge

/// The test plays roostd.
@Suite("An edge's life as a process has it", .serialized, .timeLimit(.minutes(2)))
struct EdgeLifeTests {
    /// An edge that serves a route, with its link; `end` says that the process is to end.
    private struct Life {
        let address = EdgeUnderTest.freshAddress()
        let port: Int
        let link: EdgeConnection
        let end: () -> Void
        let run: Task<Void, any Error>

        func login() async throws -> RawClient {
            let client = try RawClient(address, port)
            try client.send(startup())
            try await client.receive(until: isReady)
            client.forget()
            return client
        }

        /// It says to roostd that it retires.
        func saysThatItRetires() async throws -> Bool {
            let said = try await poll(for: .seconds(10), every: .milliseconds(5)) { () -> Bool? in
                for received in try link.receive() ?? [] {
                    for file in received.files { close(file) }
                    if case .report(let report) = received.message, report.isRetiring { return true }
                }
                return nil
            }
            return said == true
        }

        var isClosed: Bool { (try? RawClient(address, port)) == nil }
    }

    private func withLife(
        _ name: String, _ leader: Backend, drain: Duration, _ body: (Life) async throws -> Void
    ) async throws {
        let path = "/tmp/roost-life-\(getpid())-\(name).sock"
        let listener = try UnixSocket.bind(path)
        defer {
            close(listener)
            unlink(path)
        }
        var configuration = EdgeConfiguration()
        let ports = try freePorts(2, AF_INET)
        (configuration.writePort, configuration.readPort) = (ports[0], ports[1])
        configuration.loops = 1
        let (endings, ending) = AsyncStream.makeStream(of: Void.self)
        let run = Task { [configuration] in
            try await EdgeLife.run(
                configuration, listener: listener, release: "test", trustedUser: geteuid(), endings: endings,
                drain: drain)
        }
        defer { run.cancel() }
        let link = try await poll(for: .seconds(10), every: .milliseconds(5)) {
            try (try? UnixSocket.connect(path, within: .seconds(5))).map { try EdgeConnection(descriptor: $0) }
        }
        let life = Life(port: ports[0], link: try #require(link), end: { ending.yield() }, run: run)
        try life.link.send(.greeting(EdgeGreeting(release: "test")))
        var feed = RouteFeed()
        for step in feed.steps(to: ClusterTable([life.address: try route(leader: leader)])) {
            try life.link.send(.routes(step))
        }
        let sockets = try ports.map { try BoundSocket.tcp(port: UInt16($0)) }
        try life.link.send(.listeners(EdgeListenersBody(ports: ports.map { UInt16($0) })), files: sockets)
        for socket in sockets { close(socket) }
        let isOpen = try await poll(for: .seconds(10), every: .milliseconds(5)) { life.isClosed ? nil : true }
        #expect(isOpen == true)
        try await body(life)
    }

    @Test("Told to end, it takes nobody any more, says so, and ends with its last session")
    func lastSession() async throws {
        try await withBackend("a", .primary) { a in
            try await withLife("last", a.backend, drain: .seconds(60)) { life in
                let session = try await life.login()
                life.end()
                #expect(try await life.saysThatItRetires())
                let isClosed = try await poll(for: .seconds(10), every: .milliseconds(5)) { life.isClosed ? true : nil }
                #expect(isClosed == true)
                try session.send([4, 5, 6])
                try await session.receive { $0 == [4, 5, 6] }
                let began = BootClock.now()
                session.close()
                try await life.run.value
                #expect(BootClock.now() - began < .seconds(30))
            }
        }
    }

    @Test("A session that does not end is cut when the time for it is over, and not before")
    func longSession() async throws {
        let drain = Duration.milliseconds(700)
        try await withBackend("a", .primary) { a in
            try await withLife("long", a.backend, drain: drain) { life in
                let session = try await life.login()
                let began = BootClock.now()
                life.end()
                _ = try await session.receiveAll(within: .seconds(20))
                #expect(BootClock.now() - began >= drain)
                try await life.run.value
            }
        }
    }
}

@Suite("What an edge has files for, and what its health rests on", .timeLimit(.minutes(1)))
struct EdgeSignsTests {
    @Test("However few files there may be, the clients that an edge takes leave it those that it needs itself")
    func files() {
        for files in UInt64(8)..<3_000 {
            let room = FileRoom(files: files, refusalsMax: 512)
            let own = Int(files) - 2 * room.sessions - room.refusals
            #expect(room.sessions >= 1 && own >= min(Int(files) / 4, FileRoom.ownMax), "\(files) files: \(room)")
        }
        // As roostd starts an edge: all that the bounds allow have files.
        let limits = Admission.Limits()
        let usual = FileRoom(files: 65_536, refusalsMax: limits.refusalsMax)
        #expect(usual.sessions >= limits.edgeMax && usual.refusals == limits.refusalsMax)
        #expect(FileRoom(files: .max, refusalsMax: 7) == FileRoom(files: UInt64(UInt32.max), refusalsMax: 7))
        #expect(FileRoom(files: .max, refusalsMax: 7).sessions == .max)
    }

    @Test("Who was told something counts as answered; the edge's own checks and those who are dropped do not")
    func answers() async throws {
        func answers(_ edge: EdgeUnderTest) -> Int { edge.service.counters.answers.load(ordering: .relaxed) }
        func expect(_ count: Int, _ edge: EdgeUnderTest, _ what: String) async throws {
            let isMet = try await poll(for: .seconds(8), every: .milliseconds(2)) {
                answers(edge) == count ? true : nil
            }
            #expect(isMet == true, "\(answers(edge)) instead of \(count): \(what)")
        }
        let folder = "/tmp/roost-signs-\(getpid())"
        try DurableFile.makeFolder(folder)
        let identity = try await PostgresPair.makeCertificate(for: EdgeUnderTest.freshAddress(), in: folder)
        try await Command("rm", ["-r", folder]).run()
        try await withBackend("a", .primary) { a in
            try await withEdge { edge in
                try await edge.serve(try route(leader: a.backend, encryption: .optional(identity)))
                // As on an edge, where the address is the host's: only so does a check come from there, too.
                let address = ["\(edge.address)/32", "dev", "lo"]
                try await Command("ip", ["addr", "add"] + address).run()
                var checks = 0
                for _ in 0..<3 { checks += await edge.service.health() ? 1 : 0 }
                try await Command("ip", ["addr", "del"] + address).run()
                // Each is answered, by the beginning of TLS.
                #expect(checks == 3)
                try await expectStats(edge) { $0.tls >= 3 }
                try await expect(0, edge, "its own checks")
                let encrypted = try RawClient(edge.address, edge.writePort)
                try encrypted.send(tlsRequest)
                try await expect(1, edge, "a client whose TLS begins")
                let served = try RawClient(edge.address, edge.writePort)
                try served.send(startup())
                try await served.receive(until: isReady)
                try await expect(2, edge, "a client that a member has answered")
                let wrong = try RawClient(edge.address, edge.writePort)
                try wrong.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                _ = try await wrong.receiveAll()
                try await expect(3, edge, "a client that is told what is wrong")
            }
        }
        try await withEdge({
            $0.admission.edgeMax = 0
            $0.admission.refusalsMax = 0
        }) { edge in
            try await edge.serve(try route(leader: nil))
            for _ in 0..<3 { #expect(try await RawClient(edge.address, edge.writePort).receiveAll().isEmpty) }
            try await expectStats(edge) { $0.refused == 3 }
            #expect(answers(edge) == 0)
        }
    }

    @Test("A loop that turns beats; one that stands still is seen to, and to turn again")
    func beat() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.any()
        let handle = try await eventLoop.submit {
            LoopHandle(
                EdgeLoop(
                    eventLoop, index: 0, configuration: EdgeConfiguration(), counters: EdgeCounters(),
                    shared: SharedRouting(EdgeConfiguration(), FileRoom(files: .max, refusalsMax: 1)),
                    logger: Logger(label: "test")))
        }.get()
        let stillness = { handle.pulse.stillness }
        let isReleased = Atomic(false)
        handle.execute { _ in while !isReleased.load(ordering: .relaxed) { usleep(1_000) } }
        let stands = try await poll(for: .seconds(8), every: .milliseconds(5)) {
            stillness() >= .milliseconds(500) ? true : nil
        }
        #expect(stands == true)
        isReleased.store(true, ordering: .relaxed)
        // By its own sweep, with no client.
        for _ in 0..<2 {
            let turns = try await poll(for: .seconds(8), every: .milliseconds(5)) {
                stillness() < EdgeConfiguration.sweepInterval ? true : nil
            }
            #expect(turns == true)
            handle.execute { _ in usleep(UInt32(2 * EdgeConfiguration.sweepInterval.milliseconds) * 1_000) }
        }
        handle.execute { $0.close() }
        try await group.shutdownGracefully()
    }
}
