import RoostModel
import RoostPlanet
import Synchronization

/// What hosts of leaders have told this one straight, before it comes by the store: the newest of each cluster. Only the host of
/// the leader's own machine is believed, which tells it only of a leader that the store's rule names; so it is true when it is
/// said, and what the store says of a later epoch is later.
public final class LeaderNews: Sendable {
    private let state = Mutex<[AppName: Heartbeat]>([:])
    private let wakes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    public init() {}

    /// Something was told. For one listener.
    var told: AsyncStream<Void> { wakes.stream }

    /// What was told last of each cluster.
    var beats: [AppName: Heartbeat] { state.withLock(\.self) }

    /// - Parameters:
    ///   - host: who tells it.
    ///   - known: whether there is such a cluster: of others nothing is kept.
    /// - Throws: where it is not that host's to tell.
    func note(_ beat: Heartbeat, of cluster: AppName, from host: HostName, in known: Planet.ClusterRecords?)
        throws(Refusal)
    {
        guard let known else { throw Refusal(.notFound, "this host does not know cluster \(cluster)") }
        guard let placement = known.placements[beat.leader], placement.host == host else {
            throw Refusal(
                .failedPrecondition, "member \(beat.leader) of cluster \(cluster) does not live on host \(host)")
        }
        let isNews = state.withLock { state in
            if let former = state[cluster], !beat.isLater(than: former) { return false }
            state[cluster] = beat
            return true
        }
        if isNews { wakes.continuation.yield() }
    }

    /// What is told of clusters that are no more is of no use.
    func keep(_ clusters: some Collection<AppName>) {
        let present = Set(clusters)
        state.withLock { state in state = state.filter { present.contains($0.key) } }
    }
}

extension Heartbeat {
    /// Said after the other one, of the same leader or a later one.
    func isLater(than other: Heartbeat) -> Bool {
        if epoch != other.epoch { return epoch > other.epoch }
        return RecordNumber.isLater(sequence, than: other.sequence)
    }
}

extension Planet.ClusterRecords {
    /// Who leads, and whether clients are let in.
    struct Lead: Hashable, Sendable {
        var epoch: Epoch
        var leader: MemberName?
        var isOpen: Bool
        var isRecruiting: Bool
    }

    /// By the store, or by what was told straight, whichever is later.
    func lead(told: Heartbeat?) -> Lead {
        guard let rule else { return Lead(epoch: .none, leader: nil, isOpen: false, isRecruiting: false) }
        let own = heartbeat.flatMap { $0.epoch == rule.epoch ? $0 : nil }
        let isRecruiting = rule.recruitment != nil
        let stored = Lead(
            epoch: rule.epoch, leader: rule.leader, isOpen: !isRecruiting && own?.isOpen == true,
            isRecruiting: isRecruiting)
        guard let told, rule.members.contains(told.leader), told.epoch >= rule.recruitment?.epoch ?? rule.epoch else {
            return stored
        }
        if told.epoch == rule.epoch {
            guard told.leader == rule.leader, own.map(told.isLater(than:)) ?? true else { return stored }
        }
        return Lead(epoch: told.epoch, leader: told.leader, isOpen: told.isOpen, isRecruiting: false)
    }
}
