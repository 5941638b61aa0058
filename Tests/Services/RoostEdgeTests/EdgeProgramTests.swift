import Glibc
import Logging
import RoostEdgeLink
import RoostEdgeProcess
import RoostEdgeWire
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import RoostWire
import Synchronization
import Testing

@testable import RoostEdge

/// roostd's side of an edge and the real program, on loopback.
private final class EdgeUnderRoostd: Sendable {
    let folder: String
    let address = EdgeUnderTest.freshAddress()
    let program: EdgeProgram
    /// The guard's ends, the newest last.
    let guardEnds = Mutex<[PassingSocket]>([])

    private static let count = Atomic(0)

    init() throws {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        folder = "/tmp/roost-edge-\(getpid())-\(number)"
        var program = EdgeProgram(
            path: RoostEdgeFile.path, cgroupParent: "/roost-test-\(getpid())-\(number)", memory: .gibibytes(2),
            logLevel: "warning", logFormat: .text)
        let ports = try freePorts(2, AF_INET)
        (program.writePort, program.readPort) = (UInt16(ports[0]), UInt16(ports[1]))
        self.program = program
    }

    var writePort: Int { Int(program.writePort) }

    /// The edges of this test, by what the kernel shows.
    func processes() -> [pid_t] {
        let port = "\(program.writePort)"
        return ((try? FolderListing.names(in: "/proc")) ?? []).compactMap { pid_t($0) }.filter { process in
            guard let line = try? DurableFile.read("/proc/\(process)/cmdline") else { return false }
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.first == EdgeProgram.name && words.contains(port)
        }.sorted()
    }

    /// A roostd: its keeper runs as long as `body` does.
    func underRoostd(_ route: ClusterRoute, _ body: (EdgeKeeper) async throws -> Void) async throws {
        let keeper = try EdgeKeeper(program, folder: folder, isAccepting: true) { descriptor in
            self.guardEnds.withLock { $0.append(PassingSocket(descriptor: descriptor)) }
            return true
        }
        let task = Task { try await keeper.run() }
        keeper.route(ClusterTable([address: route]), isLive: true)
        do { try await body(keeper) } catch {
            task.cancel()
            _ = await task.result
            throw error
        }
        task.cancel()
        _ = await task.result
    }

    /// A session that has logged in, once there is an edge that serves.
    func login(within time: Duration = .seconds(20)) async throws -> RawClient {
        var found: RawClient?
        _ = try await poll(for: time, every: .milliseconds(20)) { () -> Bool? in
            guard let client = try? RawClient(address, writePort), (try? client.send(startup())) != nil,
                (try? await client.receive(within: .seconds(5), until: isReady)) != nil
            else { return nil }
            found = client
            return true
        }
        guard let client = found else { throw EdgeTestFailure("nobody serves at \(address):\(writePort)") }
        client.forget()
        return client
    }

    func process(other than: [pid_t] = []) async throws -> pid_t {
        let found = try await poll(for: .seconds(20), every: .milliseconds(10)) {
            processes().first { !than.contains($0) }
        }
        guard let found else { throw EdgeTestFailure("there is no other edge than \(than)") }
        return found
    }

    func lastWord() throws -> EdgeHealth? {
        var last: EdgeHealth?
        guard let end = guardEnds.withLock({ $0.last }) else { return nil }
        while case .bytes(let bytes, _) = try end.receive() { last = bytes.last.flatMap { EdgeHealth(byte: $0) } }
        return last
    }

    func remove() {
        for process in processes() {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        Self.collectEnded()
        for name in (try? FolderListing.names(in: folder)) ?? [] { unlink(folder + "/" + name) }
        rmdir(folder)
        for mount in (try? MountTable.current().mounts) ?? [] where mount.type.hasPrefix("cgroup") {
            let parent = mount.point + program.cgroupParent
            for name in (try? FolderListing.names(in: parent)) ?? [] { rmdir(parent + "/" + name) }
            rmdir(parent)
        }
    }

    /// What this process started and nobody waited for: whoever waits for any child of this process, as exit tests do,
    /// would find these again and again.
    private static func collectEnded() {
        for process in ((try? FolderListing.names(in: "/proc")) ?? []).compactMap({ pid_t($0) }) {
            guard let bytes = try? DurableFile.read("/proc/\(process)/stat"),
                String(decoding: bytes, as: UTF8.self).contains("(\(EdgeProgram.name)) Z \(getpid()) ")
            else { continue }
            waitpid(process, nil, WNOHANG)
        }
    }

    static func with(_ body: (EdgeUnderRoostd) async throws -> Void) async throws {
        let edge = try EdgeUnderRoostd()
        defer { edge.remove() }
        try await body(edge)
    }
}

/// The program as hosts run it.
private enum RoostEdgeFile {
    /// `ROOST_BIN` names a folder with the programs; otherwise they are beside the tests.
    static var path: String {
        if let folder = getenv("ROOST_BIN") { return String(cString: folder) + "/" + EdgeProgram.name }
        return EdgeProgram.ownPath
    }
}

private func echoes(_ client: RawClient, _ bytes: [UInt8] = [4, 5, 6]) async throws {
    client.forget()
    try client.send(bytes)
    try await client.receive { $0 == bytes }
}

@Suite("The edge as a program of its own", .serialized, .timeLimit(.minutes(3)))
struct EdgeProgramTests {
    @Test("It serves what it is told, as nobody, within bounds; what changes takes effect")
    func serves() async throws {
        try await withBackend("a", .primary) { a in
            try await withBackend("b", .primary) { b in
                try await EdgeUnderRoostd.with { edge in
                    try await edge.underRoostd(try route(leader: a.backend)) { keeper in
                        let client = try await edge.login()
                        let process = try await edge.process()
                        let status = String(
                            decoding: try DurableFile.read("/proc/\(process)/status") ?? [], as: UTF8.self
                        )
                        .split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
                        func value(_ name: String) -> [String] {
                            status.first { $0[0] == name + ":" }?.dropFirst().map { $0 } ?? []
                        }
                        let account = edge.program.account
                        #expect(value("Uid") == Array(repeating: "\(account.user)", count: 4))
                        #expect(value("Gid") == Array(repeating: "\(account.group)", count: 4))
                        #expect(value("Groups").isEmpty)
                        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                            #expect(UInt64(value(set).first ?? "", radix: 16) == 0, "\(set)")
                        }
                        #expect(value("NoNewPrivs") == ["1"])
                        let limits = String(
                            decoding: try DurableFile.read("/proc/\(process)/limits") ?? [], as: UTF8.self)
                        let files =
                            limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }?
                            .split(separator: " ").compactMap { UInt64($0) } ?? []
                        #expect(files.count == 2 && files[0] == files[1] && files[0] <= 65_536, "\(files)")
                        let word = try await poll(for: .seconds(5)) { try edge.lastWord() == .healthy ? true : nil }
                        #expect(word == true)

                        // A new epoch: the sessions of the old primary are cut, new ones come to the new one.
                        keeper.route(ClusterTable([edge.address: try route(2, leader: b.backend)]), isLive: true)
                        _ = try await client.receiveAll()
                        let other = try RawClient(edge.address, edge.writePort)
                        try other.send(startup())
                        #expect(member(in: try await other.receive(until: isReady)) == "b")

                        // Stopped by hand: nobody is let in, whoever is in stays.
                        keeper.setAccepting(false)
                        let isClosed = try await poll(for: .seconds(5)) {
                            (try? RawClient(edge.address, edge.writePort)) == nil ? true : nil
                        }
                        #expect(isClosed == true)
                        try await echoes(other)
                        keeper.setAccepting(true)
                        let again = try await edge.login()
                        again.close()
                        #expect(edge.processes() == [process])
                    }
                }
            }
        }
    }

    @Test("It serves by its last routes while there is no roostd, and the next roostd finds it")
    func roostdComesBack() async throws {
        try await withBackend("a", .primary) { a in
            try await EdgeUnderRoostd.with { edge in
                var sessions: [RawClient] = []
                try await edge.underRoostd(try route(leader: a.backend)) { _ in sessions.append(try await edge.login())
                }
                let process = try await edge.process()
                try await echoes(sessions[0])
                sessions.append(try await edge.login(within: .seconds(2)))
                let ends = edge.guardEnds.withLock { $0.count }
                // What this roostd has from its disk is older than what the edge knows.
                try await edge.underRoostd(try route(leader: a.backend)) { keeper in
                    keeper.route(ClusterTable(), isLive: false)
                    let isTaken = try await poll(for: .seconds(10)) {
                        edge.guardEnds.withLock { $0.count } > ends ? true : nil
                    }
                    #expect(isTaken == true)
                    sessions.append(try await edge.login(within: .seconds(2)))
                    for session in sessions { try await echoes(session) }
                    #expect(edge.processes() == [process])
                    // It takes this one's orders.
                    keeper.route(ClusterTable(), isLive: true)
                    for session in sessions { _ = try await session.receiveAll() }
                }
            }
        }
    }

    @Test("Killed, it is started again; who connects meanwhile waits and is served")
    func killed() async throws {
        try await withBackend("a", .primary) { a in
            try await EdgeUnderRoostd.with { edge in
                try await edge.underRoostd(try route(leader: a.backend)) { _ in
                    let session = try await edge.login()
                    let first = try await edge.process()
                    let watched = try #require(edge.guardEnds.withLock { $0.last })
                    kill(first, SIGKILL)
                    // The guard hears of it by the end of the edge's socket.
                    let isOver = try await poll(for: .seconds(2), every: .milliseconds(1)) { () -> Bool? in
                        if case .end = try watched.receive() { return true }
                        return nil
                    }
                    #expect(isOver == true)
                    let waiting = try RawClient(edge.address, edge.writePort)
                    try waiting.send(startup())
                    try await waiting.receive(within: .seconds(20), until: isReady)
                    _ = try await session.receiveAll()
                    #expect(try await edge.process(other: [first]) != first)
                    let word = try await poll(for: .seconds(5)) { try edge.lastWord() == .healthy ? true : nil }
                    #expect(word == true)
                }
            }
        }
    }

    @Test("Replaced, it refuses nobody and cuts nobody, and ends with its last session")
    func replaced() async throws {
        try await withBackend("a", .primary) { a in
            try await EdgeUnderRoostd.with { edge in
                try await edge.underRoostd(try route(leader: a.backend)) { keeper in
                    let session = try await edge.login()
                    let first = try await edge.process()
                    keeper.replace()
                    var second: pid_t?
                    var connections = 0
                    let isOver = try await poll(for: .seconds(20), every: .milliseconds(1)) { () -> Bool? in
                        let client = try RawClient(edge.address, edge.writePort)
                        try client.send(startup())
                        #expect(member(in: try await client.receive(until: isReady)) == "a")
                        connections += 1
                        second = edge.processes().first { $0 != first }
                        // The old one has let go of its link to the guard once it retires.
                        let ends = edge.guardEnds.withLock { $0 }
                        guard second != nil, ends.count > 1, case .end? = try? Self.drained(ends[0]) else { return nil }
                        return true
                    }
                    #expect(isOver == true && connections > 1)
                    for _ in 0..<20 {
                        let client = try RawClient(edge.address, edge.writePort)
                        try client.send(startup())
                        try await client.receive(until: isReady)
                    }
                    try await echoes(session)
                    #expect(edge.processes().contains(first))
                    session.close()
                    let isGone = try await poll(for: .seconds(10)) { edge.processes() == [second] ? true : nil }
                    #expect(isGone == true)
                    let word = try await poll(for: .seconds(5)) { try edge.lastWord() == .healthy ? true : nil }
                    #expect(word == true)
                }
            }
        }
    }

    private static func drained(_ end: PassingSocket) throws -> PassingSocket.Reading {
        while true {
            let reading = try end.receive()
            guard case .bytes = reading else { return reading }
        }
    }

    @Test("roostd tells nothing to a process that is not the edge's user")
    func stranger() async throws {
        try await withBackend("a", .primary) { a in
            try await EdgeUnderRoostd.with { edge in
                try DurableFile.makePrivateFolder(edge.folder, mode: 0o700)
                // This test is root, and so not whom roostd expects.
                let listener = try UnixSocket.listen(edge.folder + "/edge-1.sock")
                defer { close(listener) }
                try await edge.underRoostd(try route(leader: a.backend)) { _ in
                    let client = try await edge.login()
                    client.close()
                    let stranger = PassingSocket(descriptor: accept(listener, nil, nil))
                    guard case .end = try stranger.receive() else {
                        Issue.record("it was told something")
                        return
                    }
                    #expect(edge.processes().count == 1)
                }
            }
        }
    }

    @Test("An edge takes no orders from anybody but roostd's user")
    func wrongUser() async throws {
        let path = "/tmp/roost-edge-\(getpid())-order.sock"
        let listener = try UnixSocket.bind(path)
        defer {
            close(listener)
            unlink(path)
        }
        let service = EdgeService(opensSockets: false)
        let control = try EdgeControl(service, listener: listener, release: "test", trustedUser: 1)
        let task = Task { await control.run() }
        let connection = try EdgeConnection(descriptor: try UnixSocket.connect(path, within: .seconds(5)))
        try? connection.send(.routes(.table))
        try? connection.send(.routes(.apply))
        let isEnded = try await poll(for: .seconds(5)) { () -> Bool? in
            do {
                guard let received = try connection.receive() else { return true }
                #expect(received.isEmpty)
                return nil
            } catch { return true }
        }
        #expect(isEnded == true && !service.isInformed)
        task.cancel()
        await task.value
    }

    @Test("What makes no sense ends the link and changes nothing; what is unknown is passed over")
    func nonsense() async throws {
        let path = "/tmp/roost-edge-\(getpid())-nonsense.sock"
        let listener = try UnixSocket.bind(path)
        defer {
            close(listener)
            unlink(path)
        }
        let service = EdgeService(opensSockets: false)
        let control = try EdgeControl(service, listener: listener, release: "test", trustedUser: getuid())
        let task = Task { await control.run() }
        func end(after bytes: [UInt8]) async throws -> Bool {
            let socket = PassingSocket(descriptor: try UnixSocket.connect(path, within: .seconds(5)))
            try socket.send(bytes)
            let isEnded = try await poll(for: .milliseconds(700), every: .milliseconds(5)) { () -> Bool? in
                guard let reading = try? socket.receive() else { return true }
                if case .end = reading { return true }
                return nil
            }
            return isEnded == true
        }
        // Too long; a body that is no JSON; a route before the table; sockets that did not come along.
        #expect(try await end(after: [255, 255, 255, 255, 0, 1]))
        #expect(try await end(after: [0, 0, 0, 1, 0, 4, 7]))
        #expect(try await end(after: [0, 0, 0, 0, 0, 6]))
        #expect(try await end(after: [0, 0, 0, 14, 0, 7] + Array(#"{"ports":[80]}"#.utf8)))
        #expect(!service.isInformed)
        // A kind of tomorrow, and then a table of today.
        #expect(try await end(after: [0, 0, 0, 3, 99, 9, 1, 2, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 6]) == false)
        #expect(service.isInformed)
        task.cancel()
        await task.value
    }
}
