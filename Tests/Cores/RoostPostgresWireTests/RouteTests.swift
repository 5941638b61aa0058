import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

private func backend(_ name: String) throws -> Backend {
    Backend(member: try MemberName(name), address: IPv6Address(high: 1, low: UInt64(name.utf8.first ?? 0)))
}

private func replica(
    _ backend: Backend, ms: Int?, streaming: Bool = true, bytes: UInt64 = 0, lag: Duration = .zero
) -> Replica {
    Replica(
        backend: backend, roundTrip: ms.map { .milliseconds($0) }, isStreaming: streaming, lagBytes: bytes, lag: lag)
}

@Suite("Where a session goes, and whether it may stay")
struct RouteTests {
    private let a: Backend
    private let b: Backend
    private let c: Backend
    private let app: AppName
    private let limits = ReplicaLimits()

    init() throws {
        a = try backend("a")
        b = try backend("b")
        c = try backend("c")
        app = try AppName("db")
    }

    private func route(
        _ epoch: UInt64, _ leader: Backend?, open: Bool = true, recruiting: Bool = false, _ replicas: [Replica]
    ) -> ClusterRoute {
        ClusterRoute(
            app: app, epoch: Epoch(epoch), leader: leader, isOpen: open, isRecruiting: recruiting, replicas: replicas)
    }

    private func at(_ seconds: Int) -> Moment { Moment(sinceBoot: .seconds(seconds)) }

    @Test("The nearest fit replica answers reads, the leader when none is fit")
    func choice() {
        let far = replica(b, ms: 160)
        let near = replica(c, ms: 80)
        #expect(route(1, a, [far, near]).candidates(for: .read, within: limits).first == c)
        #expect(route(1, a, [far, near]).candidates(for: .read, within: limits) == [c, b, a])
        #expect(route(1, a, [far, replica(c, ms: nil)]).candidates(for: .read, within: limits).first == b)
        #expect(
            route(1, a, [far, replica(c, ms: 80, streaming: false)]).candidates(for: .read, within: limits).first == b)
        let slow = replica(c, ms: 80, bytes: 1, lag: .seconds(11))
        let behind = replica(b, ms: 90, bytes: 17 << 20)
        #expect(route(1, a, [slow, behind]).candidates(for: .read, within: limits).first == a)
        #expect(route(1, a, open: false, [slow, behind]).candidates(for: .read, within: limits).first == nil)
        // Nothing has happened for an hour, and the replica has all of it.
        #expect(
            route(1, a, [replica(c, ms: 80, lag: .seconds(3600))]).candidates(for: .read, within: limits).first == c)
    }

    @Test("The write port leads to the leader and nowhere else, and to nobody once the leader is being left")
    func write() {
        #expect(route(1, a, [replica(b, ms: 1)]).candidates(for: .write, within: limits) == [a])
        #expect(route(1, a, open: false, [replica(b, ms: 1)]).candidates(for: .write, within: limits) == [a])
        let left = route(1, a, open: false, recruiting: true, [replica(b, ms: 1)])
        #expect(left.candidates(for: .write, within: limits).isEmpty)
        #expect(route(1, nil, [replica(b, ms: 1)]).candidates(for: .write, within: limits).isEmpty)
        #expect(route(1, a, open: false, [replica(b, ms: 1)]).cancelTargets(for: .write) == [a])
        #expect(Set(route(1, a, [replica(b, ms: 1)]).cancelTargets(for: .read)) == [a, b])
    }

    @Test("A writer is cut by a new epoch, also of the same leader, and by nothing less")
    func writer() {
        var standing = SessionStanding(access: .write, backend: a, under: route(1, a, []))
        #expect(standing.review(route(1, a, open: false, []), limits: limits, now: at(0)) == .keep)
        #expect(standing.review(route(2, b, []), limits: limits, now: at(0)) == .cut(.newEpoch))
        #expect(standing.review(route(2, a, []), limits: limits, now: at(0)) == .cut(.newEpoch))
        #expect(standing.review(nil, limits: limits, now: at(0)) == .cut(.clusterGone))
    }

    @Test("A reader stays through a failover and a promotion, and is cut where answers could be wrong")
    func reader() {
        let fit = route(1, a, [replica(b, ms: 1)])
        let unfit = route(1, a, [replica(b, ms: 1, streaming: false)])
        var standing = SessionStanding(access: .read, backend: b, under: fit)
        #expect(standing.review(unfit, limits: limits, now: at(0)) == .keep)
        #expect(standing.review(unfit, limits: limits, now: at(9)) == .keep)
        #expect(standing.review(fit, limits: limits, now: at(9)) == .keep)
        #expect(standing.review(unfit, limits: limits, now: at(12)) == .keep)
        #expect(standing.review(unfit, limits: limits, now: at(22)) == .cut(.behind))
        #expect(standing.review(route(1, a, []), limits: limits, now: at(9)) == .cut(.memberGone))

        var promoted = SessionStanding(access: .read, backend: b, under: fit)
        #expect(promoted.review(route(2, b, [replica(a, ms: 1)]), limits: limits, now: at(0)) == .keep)
        #expect(promoted.review(route(3, a, [replica(b, ms: 1)]), limits: limits, now: at(1)) == .cut(.deposed))

        var fallback = SessionStanding(access: .read, backend: a, under: unfit)
        #expect(fallback.review(fit, limits: limits, now: at(0)) == .keep)
        #expect(fallback.review(route(2, b, [replica(a, ms: 1)]), limits: limits, now: at(0)) == .cut(.deposed))
    }

    @Test("A TLS identity does not show its key")
    func secrecy() {
        let identity = TLSIdentity(certificateChain: "c", privateKey: "secret-key")
        #expect(!"\(identity)".contains("secret-key"))
    }
}
