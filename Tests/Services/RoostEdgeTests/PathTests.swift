import CLinux
import Glibc
import Logging
import NIOCore
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@testable import RoostEdge

/// A client, a router and an edge, each in a network namespace of its own. The router's links carry 1,300 bytes, and
/// nobody is told.
private struct NarrowPath {
    let name = "roost-path-\(getpid())"
    let edge = IPv4Address(bits: 198 << 24 | 18 << 16 | 1 << 8 | 2)
    var edgeNamespace: String { "\(name)-e" }
    var clientNamespace: String { "\(name)-c" }
    private var routerNamespace: String { "\(name)-r" }

    func make() async throws {
        let script = """
            set -e
            for n in c r e; do ip netns add \(name)-$n; ip -n \(name)-$n link set lo up; done
            ip -n \(name)-r link add c type veth peer name up netns \(name)-c
            ip -n \(name)-r link add e type veth peer name up netns \(name)-e
            ip -n \(name)-c addr add 198.18.0.2/24 dev up; ip -n \(name)-e addr add 198.18.1.2/24 dev up
            ip -n \(name)-r addr add 198.18.0.1/24 dev c; ip -n \(name)-r addr add 198.18.1.1/24 dev e
            for l in c e; do ip -n \(name)-$l link set dev up up; ip -n \(name)-r link set $l mtu 1300 up; done
            ip -n \(name)-c route add default via 198.18.0.1; ip -n \(name)-e route add default via 198.18.1.1
            ip netns exec \(name)-r sysctl -qw net.ipv4.ip_forward=1
            ip netns exec \(name)-r nft 'add table ip quiet; add chain ip quiet out { type filter hook output priority 0; }; add rule ip quiet out icmp type destination-unreachable drop'
            """
        try await Command("sh", ["-c", script]).run()
    }

    func remove() async {
        for namespace in [clientNamespace, routerNamespace, edgeNamespace] {
            _ = try? await Command("ip", ["netns", "del", namespace]).outcome()
        }
    }

    /// Makes something (a socket stays where it was made) inside a namespace. Nothing may be awaited meanwhile.
    static func enter(_ namespace: String) throws -> Int32 {
        let own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        let other = open("/run/netns/\(namespace)", O_RDONLY | O_CLOEXEC)
        defer { if other >= 0 { close(other) } }
        guard own >= 0, other >= 0, roost_setns(other, roost_clone_newnet) == 0 else {
            throw SystemError("enter", namespace)
        }
        return own
    }

    static func leave(to own: Int32) {
        let failure = roost_setns(own, roost_clone_newnet)
        close(own)
        precondition(failure == 0, "a thread of the pool is lost in a namespace")
    }
}

@Suite("An edge behind a narrow path", .serialized, .timeLimit(.minutes(2)))
struct PathTests {
    /// TCP_MAXSEG (linux/tcp.h).
    private let segmentMax: Int32 = 2

    /// What came back of what was sent, within the time.
    private func echo(_ bytes: Int, within time: Duration, clamps: Bool) async throws -> Int {
        let path = NarrowPath()
        await path.remove()
        try await path.make()
        do {
            let backend = try await FakeBackend("a", .primary)
            var configuration = EdgeConfiguration()
            configuration.loops = 1
            configuration.drainTime = .zero
            let namespace = path.edgeNamespace
            let service = EdgeService(configuration: configuration, logger: Logger(label: "test")) {
                [segmentMax] port in
                let own = try NarrowPath.enter(namespace)
                defer { NarrowPath.leave(to: own) }
                let socket = try ListeningSocket(port: port)
                if !clamps {
                    var usual: Int32 = 1_460
                    setsockopt(socket.descriptor, Int32(IPPROTO_TCP), segmentMax, &usual, 4)
                }
                return socket
            }
            let task = Task { try await service.run() }
            service.update(ClusterTable([path.edge: try route(leader: backend.backend)]))
            let isOpen = try await poll(for: .seconds(10)) { service.stats().listenersOpen == 2 ? true : nil }
            #expect(isOpen == true)
            let own = try NarrowPath.enter(path.clientNamespace)
            let made = Result { try RawClient(path.edge, configuration.writePort) }
            NarrowPath.leave(to: own)
            let client = try made.get()
            try client.send(startup())
            try await client.receive(until: isReady)
            client.forget()
            var sent = 0
            _ = try await poll(for: time, every: .milliseconds(5)) { () -> Bool? in
                let piece = [UInt8](repeating: 7, count: min(bytes - sent, 64 << 10))
                if !piece.isEmpty { sent += client.sendWithoutWaiting(piece) }
                client.take()
                return client.received.count >= bytes ? true : nil
            }
            let count = client.received.count
            client.close()
            task.cancel()
            _ = await task.result
            await backend.stop()
            await path.remove()
            return count
        } catch {
            await path.remove()
            throw error
        }
    }

    @Test("Large results pass a path that swallows large packets")
    func narrow() async throws {
        #expect(try await echo(200_000, within: .seconds(20), clamps: true) == 200_000)
        // The path is what it is said to be: without the clamp nothing large gets through.
        #expect(try await echo(200_000, within: .seconds(3), clamps: false) == 0)
    }
}
