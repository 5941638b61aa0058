import RoostControl
import RoostLinux
public import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
public import RoostWire
import Synchronization

/// What the host that replaces lost members has seen of them: a feeder of ``ReplacementWatch``, from what is heard of
/// clusters and of hosts.
public final class ReplacementDesk: Sendable {
    private let voices: @Sendable (AppName) -> ClusterVoices?
    private let clock: @Sendable () -> Moment
    private let state = Mutex(State())

    private struct State {
        var watch = ReplacementWatch()
        var heard: [AppName: Set<MemberName>] = [:]
        var open: Set<AppName> = []
        /// Replacements under way on the planet.
        var underWay: Set<AppName> = []
        /// Those that were begun, and may not show yet.
        var begun: [AppName: Moment] = [:]
    }

    /// What was begun shows within this time, or was refused.
    static let begunMax = Duration.seconds(10)

    /// - Parameter voices: who of a cluster was heard in the last seconds; nil where it is not heard.
    public convenience init(voices: @escaping @Sendable (AppName) -> ClusterVoices?) {
        self.init(voices: voices) { BootClock.now() }
    }

    init(voices: @escaping @Sendable (AppName) -> ClusterVoices?, clock: @escaping @Sendable () -> Moment) {
        self.voices = voices
        self.clock = clock
    }

    /// What was seen says nothing any more: this host does not have the duty, or does not hear the store.
    func forget() { state.withLock { $0 = State() } }

    /// One look, as often as something may have become different by time alone.
    ///
    /// - Returns: clusters in which somebody is lost, or was at the look before, or is being replaced.
    func look(at planet: Planet, reachable: Set<HostName>) -> Set<AppName> {
        var sight = ReplacementWatch.Sight()
        sight.hosts = planet.hosts.mapValues(\.region)
        sight.reachable = reachable
        var (heard, open, underWay): ([AppName: Set<MemberName>], Set<AppName>, Set<AppName>) = ([:], [], [])
        for (name, records) in planet.clusters {
            guard let spec = records.spec, !spec.isDestroying, let rule = records.rule else { continue }
            sight.seats.formUnion(records.placements.values.map(\.host))
            let isUnderWay = rule.change?.isAutomatic == true && rule.change?.current != nil
            if isUnderWay { underWay.insert(name) }
            let suspects = records.placements.filter { Self.isSuspect($0.value, in: planet, reachable) }
            guard isUnderWay || !suspects.isEmpty, let voices = self.voices(name) else { continue }
            heard[name] = Self.heard(records, rule, voices)
            if voices.isLeaderRenewing, let beat = records.heartbeat, beat.epoch == rule.epoch, beat.isOpen {
                open.insert(name)
            }
            // While it is paused somebody works on its hosts, and may need all of the time again afterwards.
            guard ClusterStatus.pause(of: rule) == nil else { continue }
            let members = Set(rule.members + records.coming)
            sight.lost[name] = Set(suspects.keys).intersection(members).subtracting(heard[name] ?? [])
            if let change = rule.change, change.isAutomatic == true, change.refusal != nil {
                sight.takenBack[name] = change.id
            }
        }
        let now = clock()
        return state.withLock { [sight, heard, open, underWay] state in
            let before = state.watch.clusters
            state.watch.see(sight, at: now)
            (state.heard, state.open, state.underWay) = (heard, open, underWay)
            state.begun = state.begun.filter { now - $0.value < Self.begunMax }
            return before.union(state.watch.clusters).union(underWay)
        }
    }

    /// Neither its host answers, nor could it say anything else than that the machine cannot be started.
    private static func isSuspect(_ placement: MemberPlacement, in planet: Planet, _ reachable: Set<HostName>) -> Bool {
        guard reachable.contains(placement.host) else { return true }
        return planet.machine(placement.machine, on: placement.host)?.state == .failed
    }

    /// By the store, or by the leader, which sees it stream.
    private static func heard(
        _ records: Planet.ClusterRecords, _ rule: ClusterRule, _ voices: ClusterVoices
    ) -> Set<MemberName> {
        var heard = voices.members
        guard voices.isLeaderRenewing else { return heard }
        heard.insert(rule.leader)
        if let beat = records.heartbeat, beat.epoch == rule.epoch {
            heard.formUnion((beat.standbys ?? []).filter { $0.behindBytes != nil }.map(\.member))
        }
        return heard
    }

    /// What is to be done about lost members of the cluster, by what was seen at the last look.
    func plan(for cluster: AppName, in planet: Planet, reachable: Set<HostName>) -> Plan<ClusterPlan.Step> {
        guard let records = planet.clusters[cluster], let spec = records.spec, let rule = records.rule else {
            return Plan()
        }
        let now = clock()
        return state.withLock { state in
            let lost = state.watch.lost(in: cluster, at: now)
            guard !lost.isEmpty || state.underWay.contains(cluster) else { return Plan() }
            var world = Replacement.World(
                spec: spec, rule: rule, placements: records.placements,
                hosts: planet.hosts.values.map { PlacementHost(record: $0, isReachable: reachable.contains($0.host)) })
            world.lost = lost
            world.heard = state.heard[cluster] ?? []
            world.isOpen = state.open.contains(cluster)
            world.confirming = Set(rule.members.filter(records.confirms))
            world.departed = records.departed
            world.isPaused = ClusterStatus.pause(of: rule) != nil
            world.takenBack = state.watch.takenBack(in: cluster, at: now)
            world.brake = state.watch.brake(at: now)
            let others = state.underWay.union(state.begun.keys).subtracting([cluster])
            world.hasTurn = others.count < Replacement.underWayMax
            let plan = Replacement.next(world)
            if plan.steps.contains(where: \.isReplacing) { state.begun[cluster] = now }
            return plan
        }
    }
}

extension ClusterPlan.Step {
    fileprivate var isReplacing: Bool {
        switch self {
        case .replace: true
        case .place, .make, .retire, .remove, .takeBack, .forget: false
        }
    }
}
