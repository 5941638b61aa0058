import Glibc
import Logging
import RoostEdge
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization

/// An edge on loopback, with addresses of its own.
final class EdgeUnderTest: Sendable {
    let service: EdgeService
    let address: IPv4Address
    let writePort: Int
    let readPort: Int
    private let listeners: Int
    private let task: Task<Void, any Error>

    private static let count = Atomic(0)

    /// 127.64.0.0/10, by process and number, so that suites of several processes do not meet.
    static func freshAddress() -> IPv4Address {
        let number = UInt32(count.add(1, ordering: .relaxed).newValue) & 0xff
        return IPv4Address(bits: 127 << 24 | 64 << 16 | (UInt32(getpid()) & 0x3fff) << 8 | number)
    }

    init(
        at address: IPv4Address = freshAddress(), _ adjust: (inout EdgeConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = EdgeConfiguration()
        // An edge listens at every address: two of them need ports of their own.
        let ports = try freePorts(2, AF_INET)
        (configuration.writePort, configuration.readPort) = (ports[0], ports[1])
        configuration.loops = 2
        configuration.drainTime = .zero
        adjust(&configuration)
        let service = EdgeService(configuration: configuration)
        self.service = service
        self.address = address
        writePort = configuration.writePort
        readPort = configuration.readPort
        listeners = 2 * (configuration.loops ?? 1)
        task = Task { try await service.run() }
    }

    func port(_ access: Access) -> Int {
        switch access {
        case .write: writePort
        case .read: readPort
        }
    }

    /// Routes the edge's address, and waits until it listens.
    func serve(_ route: ClusterRoute?) async throws {
        service.update(ClusterTable(route.map { [address: $0] } ?? [:]))
        let isReady = try await poll(for: .seconds(10), every: .milliseconds(5)) { [listeners] in
            let stats = service.stats()
            return stats.listenersOpen == listeners && stats.listenersWanted == listeners ? true : nil
        }
        guard isReady == true else { throw EdgeTestFailure("the edge does not listen: \(service.stats())") }
    }

    func stop() async {
        task.cancel()
        _ = await task.result
    }
}

struct EdgeTestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs `body` with an edge that is stopped afterwards, come what may.
func withEdge(
    _ adjust: (inout EdgeConfiguration) -> Void = { _ in }, _ body: (EdgeUnderTest) async throws -> Void
) async throws {
    let edge = try EdgeUnderTest(at: EdgeUnderTest.freshAddress(), adjust)
    do {
        try await body(edge)
    } catch {
        await edge.stop()
        throw error
    }
    await edge.stop()
}

/// Waits until the edge's counters say so.
func expectStats(
    _ edge: EdgeUnderTest, within time: Duration = .seconds(10), _ condition: (EdgeStats) -> Bool
) async throws {
    let met = try await poll(for: time, every: .milliseconds(5)) { condition(edge.service.stats()) ? true : nil }
    if met == nil { throw EdgeTestFailure("not within \(time): \(edge.service.stats())") }
}

func route(
    _ epoch: UInt64 = 1, leader: Backend?, isOpen: Bool = true, isRecruiting: Bool = false, replicas: [Replica] = [],
    encryption: Encryption = .none
) throws -> ClusterRoute {
    ClusterRoute(
        app: try AppName("db"), epoch: Epoch(epoch), leader: leader, isOpen: isOpen, isRecruiting: isRecruiting,
        replicas: replicas, encryption: encryption)
}

func replica(_ backend: Backend, milliseconds: Int = 1, isStreaming: Bool = true) -> Replica {
    Replica(
        backend: backend, roundTrip: .milliseconds(milliseconds), isStreaming: isStreaming, lagBytes: 0, lag: .zero)
}

/// Ports of the loopback address that nobody has, all different.
func freePorts(_ count: Int, _ family: Int32) throws -> [Int] {
    let files = (0..<count).map { _ in socket(family, Int32(SOCK_STREAM.rawValue), 0) }
    defer { for file in files { close(file) } }
    return try files.map { file in
        // Family and port stand at the same places in both kinds of address.
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(family)
        if family == AF_INET6 { address.sin6_addr = in6addr_loopback }
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, length) | getsockname(file, $0, &length)
            }
        }
        guard status == 0 else { throw SystemError("bind", "a free port") }
        return Int(in_port_t(bigEndian: address.sin6_port))
    }
}
