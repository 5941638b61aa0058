import RoostFailover
import RoostLinux
import RoostModel
import RoostPlanet
import Synchronization

/// What hosts of leaders have told this one straight, before it comes by the store: the newest of each cluster. Only the host of
/// the leader's own machine is believed, of an epoch that can be the next one, and for a moment: what a store that answers does not
/// bear out by then was not so, or is no more.
public final class LeaderNews: Sendable {
    /// A rule that a host has written is at every edge by then.
    static let unborneMax = Duration.seconds(10)

    private struct Word {
        var beat: Heartbeat
        var heardAt: Moment
    }

    private let state = Mutex<[AppName: Word]>([:])
    private let wakes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    public init() {}

    /// Something was told. For one listener.
    var told: AsyncStream<Void> { wakes.stream }

    /// Nothing that counts was told.
    var isEmpty: Bool { state.withLock(\.isEmpty) }

    /// What was told last of each cluster.
    ///
    /// - Parameter isLive: the store answers, so what was told long ago is there by now.
    func beats(isLive: Bool, at now: Moment = BootClock.now()) -> [AppName: Heartbeat] {
        state.withLock { state in
            if isLive { state = state.filter { now - $0.value.heardAt < Self.unborneMax } }
            return state.mapValues(\.beat)
        }
    }

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
        guard known.mayLead(beat) else {
            throw Refusal(
                .failedPrecondition,
                "member \(beat.leader) cannot lead epoch \(beat.epoch) by the rule that this host knows")
        }
        let isNews = state.withLock { state in
            // What cannot be any more is in nobody's way.
            if let former = state[cluster]?.beat, known.mayLead(former), !beat.isLater(than: former) { return false }
            state[cluster] = Word(beat: beat, heardAt: BootClock.now())
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

    /// Of the epoch that the rule has, or of the next that members may come to, with nobody called for a later one.
    fileprivate func mayLead(_ told: Heartbeat) -> Bool {
        guard let rule, rule.members.contains(told.leader) else { return false }
        return rule.epoch == told.epoch && rule.leader == told.leader && rule.recruitment == nil
            || rule.mayElect(told.epoch)
    }

    /// By the store, or by what was told straight, whichever is later.
    func lead(told: Heartbeat?) -> Lead {
        guard let rule else { return Lead(epoch: .none, leader: nil, isOpen: false, isRecruiting: false) }
        let own = heartbeat.flatMap { $0.epoch == rule.epoch ? $0 : nil }
        let isRecruiting = rule.recruitment != nil
        let stored = Lead(
            epoch: rule.epoch, leader: rule.leader, isOpen: !isRecruiting && own?.isOpen == true,
            isRecruiting: isRecruiting)
        guard let told, mayLead(told), told.epoch > rule.epoch || own.map(told.isLater(than:)) ?? true else {
            return stored
        }
        return Lead(epoch: told.epoch, leader: told.leader, isOpen: told.isOpen, isRecruiting: false)
    }
}
