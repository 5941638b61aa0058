import Glibc
import Logging
import NIOCore
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization
import Testing

@testable import RoostEdge

@Suite("What an edge says of its host and of its clients", .serialized, .timeLimit(.minutes(2)))
struct ShortageTests {
    @Test("What is the host's own fault is told from what is the member's")
    func errors() {
        func failure(_ code: Int32) -> SessionCore.ConnectFailure {
            SessionCore.ConnectFailure(IOError(errnoCode: code, reason: "connect"))
        }
        #expect(failure(EADDRNOTAVAIL) == .short(.ports))
        #expect(failure(EMFILE) == .short(.files) && failure(ENFILE) == .short(.files))
        #expect(failure(ENOBUFS) == .short(.memory) && failure(ENOMEM) == .short(.memory))
        for code in [ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT] {
            #expect(failure(code) == .unreachable)
        }
        #expect(SessionCore.ConnectFailure(ChannelError.connectTimeout(.seconds(1))) == .unreachable)
    }

    @Test("A client waits while its edge has no file descriptor to reach a member with; the member is not blamed")
    func noFileForMember() async throws {
        // In a process of its own: the limit is the whole process's.
        await #expect(processExitsWith: .success) {
            var limit = rlimit(rlim_cur: 90, rlim_max: 90)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            try await withBackend("a", .primary) { a in
                try await withEdge({ $0.loops = 1 }) { edge in
                    try await edge.serve(try route(leader: a.backend))
                    let client = try RawClient(edge.address, edge.writePort)
                    try client.send(gssRequest)
                    try await client.receive { $0 == [UInt8(ascii: "N")] }
                    client.forget()
                    var hoard: [Int32] = []
                    while case let file = dup(0), file >= 0 { hoard.append(file) }
                    try client.send(startup())
                    try await expectStats(edge) { $0.shortages > 0 && $0.held == 1 }
                    guard edge.service.stats().attemptsFailed == 0 else {
                        throw EdgeTestFailure("the member is blamed: \(edge.service.stats())")
                    }
                    for file in hoard { close(file) }
                    let stream = try await client.receive(until: isReady)
                    guard member(in: stream) == "a" else { throw EdgeTestFailure("not served") }
                }
            }
        }
    }

    @Test("A login is logged with the client's address, its session, and where the member's log has it")
    func loginLog() async throws {
        let lines = Lines()
        try await withBackend("a", .primary) { a in
            var configuration = EdgeConfiguration()
            let ports = try freePorts(2, AF_INET)
            (configuration.writePort, configuration.readPort) = (ports[0], ports[1])
            configuration.loops = 1
            configuration.drainTime = .zero
            let service = EdgeService(
                configuration: configuration, logger: Logger(label: "edge") { _ in RecordingHandler(lines: lines) })
            let task = Task { try await service.run() }
            let address = EdgeUnderTest.freshAddress()
            service.update(ClusterTable([address: try route(leader: a.backend)]))
            _ = try await poll(for: .seconds(8)) { service.stats().listenersOpen == 2 ? true : nil }
            let client = try RawClient(address, configuration.writePort)
            try client.send(startup())
            try await client.receive(until: isReady)
            let logged = try await poll(for: .seconds(8)) { lines.all.first { $0["message"] == "client logged in" } }
            let line = try #require(logged)
            #expect(line["client"]?.contains("127.0.0.1") == true && line["member"] == "a")
            #expect(line["address"] == "\(address)" && line["access"] == "write")
            #expect(UInt64(line["session"] ?? "") != nil)
            #expect((UInt16(line["local_port"] ?? "") ?? 0) > 0)
            client.close()
            // One that logs in again and again gets its burst, and then a line each second.
            let (burst, began) = (EdgeConfiguration.loginLinesMax.burst, BootClock.now())
            for _ in 0..<2 * burst {
                let again = try RawClient(address, configuration.writePort)
                try again.send(startup())
                try await again.receive(until: isReady)
                again.close()
            }
            let seconds = Int((BootClock.now() - began).components.seconds)
            let written = lines.all.filter { $0["message"] == "client logged in" }.count
            #expect((burst...burst + 2 + seconds).contains(written), "\(written) lines in \(seconds) s")
            task.cancel()
            _ = await task.result
        }
    }
}

/// What was logged.
final class Lines: Sendable {
    private let lines = Mutex<[[String: String]]>([])
    var all: [[String: String]] { lines.withLock { $0 } }
    func append(_ line: [String: String]) { lines.withLock { $0.append(line) } }
}

struct RecordingHandler: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    init(lines: Lines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = (event.metadata ?? [:]).mapValues { "\($0)" }
        line["message"] = "\(event.message)"
        lines.append(line)
    }
}
