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

/// An edge's end of the link as a test wants it: it says what it is told to say, and obeys nobody.
final class ScriptedEdge {
    private let listener: Int32
    let path: String
    private let link = Link()
    private var heard: [EdgeMessage] = []
    /// roostd ends an edge that is silent for ten seconds, by its process, which is this one.
    private let breathing: Task<Void, Never>

    private final class Link: Sendable {
        private let state = Mutex<EdgeConnection?>(nil)
        var connection: EdgeConnection? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    private var connection: EdgeConnection? {
        get { link.connection }
        set { link.connection = newValue }
    }

    init(_ number: Int, in folder: String) throws {
        path = folder + "/edge-\(number).sock"
        listener = try UnixSocket.listen(path)
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        breathing = Task { [link] in
            while (try? await Task.sleep(for: .seconds(1))) != nil { try? link.connection?.send(.beat, waits: false) }
        }
    }

    deinit {
        breathing.cancel()
        hangUp()
        close(listener)
        unlink(path)
    }

    /// roostd comes, and is greeted.
    func admit(capabilities: [String] = EdgeGreeting.capabilitiesPresent) async throws {
        try await letIn()
        try greet(capabilities: capabilities)
    }

    /// roostd comes. It hears that somebody is alive, and nothing else.
    func letIn() async throws {
        let accepted = try await poll(for: .seconds(10), every: .milliseconds(2)) { () -> Int32? in
            let accepted = accept(listener, nil, nil)
            return accepted >= 0 ? accepted : nil
        }
        guard let accepted else { throw EdgeTestFailure("no roostd came to \(path)") }
        connection = try EdgeConnection(descriptor: accepted)
    }

    func greet(capabilities: [String] = EdgeGreeting.capabilitiesPresent) throws {
        var greeting = EdgeGreeting(release: "test", isInformed: false, isRetiring: false)
        greeting.capabilities = capabilities
        try connection?.send(.greeting(greeting))
        try connection?.send(.listeners(EdgeListenersBody(ports: [])))
    }

    func report(isInformed: Bool = true, isRetiring: Bool = false, isAccepting: Bool) throws {
        try connection?.send(
            .report(
                EdgeReportBody(
                    isHealthy: true, isInformed: isInformed, isRetiring: isRetiring, sessions: 0,
                    counters: ["listeners_open": isAccepting ? 1 : 0])))
    }

    /// Says so much that there is always something to read, until it hangs up.
    func makeNoise() throws {
        try OwnThread.start("noise") { [link] in
            while let connection = link.connection, (try? connection.send(.beat)) != nil {}
        }
    }

    func hangUp() {
        connection?.end()
        connection = nil
    }

    /// Whether it was told so since it was asked last.
    func hears(_ isMeant: (EdgeMessage) -> Bool) async throws -> Bool {
        let found = try await poll(for: .seconds(10), every: .milliseconds(2)) { () -> Bool? in
            for received in try connection?.receive() ?? [] {
                for file in received.files { close(file) }
                heard.append(received.message)
            }
            guard let place = heard.firstIndex(where: isMeant) else { return nil }
            passedOver = Array(heard[..<place])
            heard.removeFirst(place + 1)
            return true
        }
        return found == true
    }

    /// Of what has come since, up to what it was asked for last.
    private(set) var passedOver: [EdgeMessage] = []
    var hearsNothingOfRetiring: Bool {
        !(passedOver + heard).contains { if case .retire = $0 { true } else { false } }
    }
    var hearsNothingOfTheGuard: Bool { !(passedOver + heard).contains(.guarding) }

    func hearsRetire() async throws -> Bool {
        try await hears { if case .retire = $0 { true } else { false } }
    }
}

/// The guard of the announcement, as far as a keeper knows it.
final class GuardUnderTest: Sendable {
    /// roostd has reached it.
    let isReached = Atomic(true)
    /// How often it was offered an edge that it could not be given.
    let missed = Atomic(0)

    func take(_ descriptor: Int32) -> Bool {
        close(descriptor)
        let isReached = isReached.load(ordering: .sequentiallyConsistent)
        if !isReached { missed.add(1, ordering: .sequentiallyConsistent) }
        return isReached
    }
}

/// A roostd's keeper with edges that tests play: they are found as if an earlier roostd had started them.
final class KeeperUnderTest: Sendable {
    let folder: String
    let keeper: EdgeKeeper
    let lines = Lines()
    let theGuard = GuardUnderTest()
    private let said = Mutex<[Set<Capability>]>([])
    private let tasks = Mutex<[Task<Void, Never>]>([])
    private static let count = Atomic(0)

    init() throws {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        folder = "/tmp/roost-keeper-\(getpid())-\(number)"
        try DurableFile.makePrivateFolder(folder, mode: 0o700)
        // The user of this test plays the edge's; there is no program that could be started.
        var program = EdgeProgram(
            path: folder + "/none", account: EdgeAccount(user: geteuid(), group: getegid()),
            cgroupParent: "/roost-test-\(getpid())-keeper-\(number)", memory: .gibibytes(1), logLevel: "error",
            logFormat: .text)
        let ports = try freePorts(2, AF_INET)
        (program.writePort, program.readPort) = (UInt16(ports[0]), UInt16(ports[1]))
        keeper = try EdgeKeeper(
            program, folder: folder, isAccepting: true, replacementInterval: .milliseconds(100),
            logger: Logger(label: "test") { [lines] _ in RecordingHandler(lines: lines) }
        ) { [theGuard] in theGuard.take($0) }
    }

    /// What was said of the edges' capabilities, in its order.
    var capabilities: [Set<Capability>] { said.withLock { $0 } }

    func begin() {
        let keeper = keeper
        let running = Task { _ = try? await keeper.run() }
        let listening = Task { for await can in keeper.capabilities { self.said.withLock { $0.append(can) } } }
        tasks.withLock { $0 = [running, listening] }
        keeper.route(ClusterTable(), isLive: true)
    }

    func end() async {
        for task in tasks.withLock({ $0 }) {
            task.cancel()
            await task.value
        }
        for name in (try? FolderListing.names(in: folder)) ?? [] { unlink(folder + "/" + name) }
        rmdir(folder)
    }
}

/// Runs `body` beside a keeper that ends afterwards, come what may. The keeper begins when it is told to.
func withKeeper(_ body: (KeeperUnderTest) async throws -> Void) async throws {
    let keeper = try KeeperUnderTest()
    do { try await body(keeper) } catch {
        await keeper.end()
        throw error
    }
    await keeper.end()
}
