public import RoostControl
import RoostHost
public import RoostModel
import RoostPlanet
public import RoostWire
import Synchronization

/// What is ordered of this host's edge. Without force the last one that lets clients in is not stopped, also when every edge
/// is ordered to stop at once, or each right after the other: who stops one says so first, and then asks the others
/// themselves. Of two that stop, the later one to ask hears that the other is stopping; where both hear it, both stay.
public final class EdgeOrders: Sendable {
    private let view: PlanetView
    private let isServing: @Sendable () -> Bool
    private let isReliedOn: @Sendable () -> Bool
    private let set: @Sendable (EdgeRequest.State) async throws(Refusal) -> Void
    /// Orders to stop this host's edge that are being judged or carried out.
    private let stops = Atomic<Int>(0)

    static let answerMax = Duration.seconds(2)
    /// An edge that clients have come to for less time than this may be one that ends again and again.
    public static let steadyMin = Duration.seconds(3)

    /// - Parameters:
    ///   - isServing: whether this host is an edge that nobody has stopped, by the edge itself.
    ///   - isReliedOn: whether clients are led to it, and have been for ``steadyMin``.
    ///   - set: throws on a host that is no edge.
    public init(
        view: PlanetView, isServing: @escaping @Sendable () -> Bool, isReliedOn: @escaping @Sendable () -> Bool,
        set: @escaping @Sendable (EdgeRequest.State) async throws(Refusal) -> Void
    ) {
        self.view = view
        self.isServing = isServing
        self.isReliedOn = isReliedOn
        self.set = set
    }

    /// What a host tells another one of its edge.
    struct Standing: Hashable, Codable {
        /// It lets clients in, they come to it, and no order to stop it is under way.
        var stays: Bool
    }

    /// - Note: orders are looked at first: one that ended in between has stopped the edge by then.
    var standing: Standing {
        let isStopping = stops.load(ordering: .sequentiallyConsistent) > 0
        return Standing(stays: isServing() && isReliedOn() && !isStopping)
    }

    func carryOut(_ wish: EdgeRequest) async throws(Refusal) {
        guard wish.state == .stopped else { return try await set(wish.state) }
        stops.add(1, ordering: .sequentiallyConsistent)
        defer { stops.subtract(1, ordering: .sequentiallyConsistent) }
        // Stopping one that is stopped changes nothing.
        if wish.force != true, isServing(), await !hasAnother() {
            throw Refusal(
                .failedPrecondition,
                "the edge of \(view.host) is the last one that is known to go on letting clients in: without it no client "
                    + "reaches this planet. Another one counts when it has been well and announced for "
                    + "\(Self.steadyMin.words). With \"force\" (--force) it is stopped all the same")
        }
        try await set(.stopped)
    }

    /// Whether an edge that can be reached says that it stays.
    private func hasAnother() async -> Bool {
        let reachable = await view.reachability.hosts()
        let others = await view.hosts().filter {
            $0.isEdge && $0.host != view.host && reachable.contains($0.host)
        }
        return await withTaskGroup(of: Bool.self) { group in
            for other in others { group.addTask { await self.stays(other) } }
            for await stays in group where stays {
                group.cancelAll()
                return true
            }
            return false
        }
    }

    private func stays(_ other: HostRecord) async -> Bool {
        do throws(Refusal) {
            return try await view.peers.value(
                Standing.self, "GET", "/v1/internal/edge", from: other.host, timeout: Self.answerMax
            ).stays
        } catch {
            // One of a version that does not know the question is known by the copy; one that does not answer counts as gone.
            return error.code == .notFound && !other.isEdgeStopped
        }
    }
}
