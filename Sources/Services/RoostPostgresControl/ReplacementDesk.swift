import RoostControl
import RoostLinux
public import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
public import RoostWire
import Synchronization

/// What the host that replaces lost members has seen of them: a feeder of ``ReplacementWatch``, from what is heard of
/// clusters and of hosts. And of leaders that are away from home.
public final class ReplacementDesk: Sendable {
    private let voices: @Sendable (AppName) -> ClusterVoices?
    let clock: @Sendable () -> Moment
    /// In milliseconds; counts only for wishes that nobody was heard to ask for.
    private let wallClock: @Sendable () -> Int64
    let state = Mutex(State())

    struct State {
        var watch = ReplacementWatch()
        /// Of the hosts as they were at the last look.
        var places = PlaceBook()
        var turns = ReplacementTurns()
        /// Machines of members that cannot be started, by the word of hosts that answer.
        var failed: [AppName: [MemberName: MachineID]] = [:]
        /// Who is to lead at home, and since when.
        var homecoming: [AppName: (member: MemberName, since: Moment)] = [:]
        var heard: [AppName: Set<MemberName>] = [:]
        var open: Set<AppName> = []
        /// Replacements under way on the planet.
        var underWay: Set<AppName> = []
    }

    /// - Parameter voices: who of a cluster was heard in the last seconds; nil where it is not heard.
    public convenience init(voices: @escaping @Sendable (AppName) -> ClusterVoices?) {
        self.init(voices: voices) { BootClock.now() }
    }

    init(
        voices: @escaping @Sendable (AppName) -> ClusterVoices?, clock: @escaping @Sendable () -> Moment,
        wallClock: @escaping @Sendable () -> Int64 = { WallClock.milliseconds() }
    ) {
        self.voices = voices
        self.clock = clock
        self.wallClock = wallClock
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
        var failed: [AppName: [MemberName: MachineID]] = [:]
        var leaders: [AppName: MemberName] = [:]
        var vain: Set<AppName> = []
        for (name, records) in planet.clusters {
            guard let spec = records.spec, !spec.isDestroying, let rule = records.rule else { continue }
            if let away = spec.ledAway, Homecoming.hasFailed(away, under: rule) { vain.insert(name) }
            let members = Set(rule.members + records.coming)
            // What is left of one that is no member holds up nobody.
            sight.seats.formUnion(records.placements.filter { members.contains($0.key) }.map(\.value.host))
            let isUnderWay = rule.change?.isAutomatic == true && rule.change?.current != nil
            if isUnderWay { underWay.insert(name) }
            sight.coming[name] = Self.coming(under: rule)
            if let change = rule.change, change.isAutomatic == true, change.refusal != nil {
                sight.takenBack[name] = change.id
            }
            let placements = records.placements.filter { !spec.isReader($0.key) }
            let suspects = placements.filter { !reachable.contains($0.value.host) }
            let failures = Self.failures(placements, in: planet, reachable)
            if !failures.isEmpty { failed[name] = failures }
            let isAway = spec.home.map { home in records.placements[rule.leader]?.region != home } ?? false
            guard isUnderWay || isAway || !suspects.isEmpty, let voices = self.voices(name) else { continue }
            heard[name] = Self.heard(records, rule, voices)
            if voices.isLeaderRenewing, let beat = records.heartbeat, beat.epoch == rule.epoch, beat.isOpen {
                open.insert(name)
            }
            leaders[name] = leader(of: spec, records, rule, voices, isOpen: open.contains(name))
            // While it is paused somebody works on its hosts, and may need all of the time again afterwards.
            guard ClusterStatus.pause(of: rule, hearing: voices, at: wallClock()) == nil else { continue }
            sight.lost[name] = Set(suspects.keys).intersection(members).subtracting(heard[name] ?? [])
            if let comer = rule.change?.comer(under: rule), heard[name]?.contains(comer) != true {
                sight.coming[name]?.isHeard = false
            }
        }
        let lossy = Set(sight.lost.filter { !$0.value.isEmpty }.keys)
        // Nobody asks for a place while nobody is lost.
        let hosts = lossy.isEmpty ? [] : planet.placementHosts(reachable: reachable)
        let waiting = lossy.isEmpty ? [:] : Self.placeless(underWay, in: planet)
        let now = clock()
        return state.withLock { [sight, heard, open, underWay, leaders, failed, vain] state in
            let before = state.watch.clusters.union(state.failed.keys)
            state.places.see(hosts, for: lossy.union(waiting.keys))
            for (cluster, request) in waiting.sorted(by: { $0.key < $1.key }) {
                state.places.promise(request, to: cluster)
            }
            state.failed = failed
            let former = state.homecoming
            state.homecoming = [:]
            for (name, leader) in leaders {
                state.homecoming[name] = former[name].flatMap { $0.member == leader ? $0 : nil } ?? (leader, now)
            }
            state.watch.see(sight, at: now)
            (state.heard, state.open, state.underWay) = (heard, open, underWay)
            state.turns.see(state.watch.turns(at: now), at: now)
            return before.union(state.watch.clusters).union(underWay).union(leaders.keys).union(failed.keys).union(vain)
        }
    }

    private func leader(
        of spec: ClusterSpec, _ records: Planet.ClusterRecords, _ rule: ClusterRule, _ voices: ClusterVoices,
        isOpen: Bool
    ) -> MemberName? {
        let now = wallClock()
        let isBusy =
            ClusterStatus.pause(of: rule, hearing: voices, at: now) != nil
            || rule.restart.map { ClusterDirectory.goesOn($0, hearing: voices, at: now) } ?? false
        return Homecoming.leader(
            of: spec, under: rule, confirming: Set(rule.members.filter(records.confirms)), isOpen: isOpen,
            isBusy: isBusy)
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

    /// By who hears it now: a pause may have come since the last look. Where nobody hears it, there is one until it is ended.
    private func hasPause(_ rule: ClusterRule, of cluster: AppName) -> Bool {
        guard rule.pause != nil else { return false }
        guard let voices = voices(cluster) else { return true }
        return ClusterStatus.pause(of: rule, hearing: voices, at: wallClock()) != nil
    }

    /// What is to be done about lost members of the cluster, or about its leader, by what was seen at the last look.
    func plan(for cluster: AppName, in planet: Planet) -> Plan<ClusterPlan.Step> {
        guard let records = planet.clusters[cluster], let spec = records.spec, let rule = records.rule else {
            return Plan()
        }
        // Before another leads, and nobody can say it any more.
        if let away = spec.ledAway, Homecoming.hasFailed(away, under: rule) {
            return Plan(steps: [.letGoHome(away.epoch)])
        }
        let now = clock()
        let isPaused = hasPause(rule, of: cluster)
        let asked = rule.change?.age(at: wallClock())
        return state.withLock { state in
            if let home = state.homecoming[cluster], now - home.since >= Homecoming.patience,
                rule.leader != home.member, !isPaused, state.watch.brake(at: now) == nil
            {
                // Whatever comes of it, the next one waits as long.
                state.homecoming[cluster] = (home.member, now)
                return Plan(steps: [.lead(home.member)])
            }
            let lost = state.watch.lost(in: cluster, at: now)
            let failed = state.failed[cluster] ?? [:]
            guard !lost.isEmpty || !failed.isEmpty || state.underWay.contains(cluster) else { return Plan() }
            var world = Replacement.World(spec: spec, rule: rule, placements: records.placements)
            world.lost = lost
            world.failed = failed
            world.heard = state.heard[cluster] ?? []
            world.isOpen = state.open.contains(cluster)
            world.confirming = Set(rule.members.filter(records.confirms))
            world.departed = records.departed
            world.isPaused = isPaused
            world.takenBack = state.watch.takenBack(in: cluster, at: now)
            world.asked = asked
            world.brake = state.watch.brake(at: now)
            for member in lost.keys {
                world.refusals[member] =
                    state.turns.refusal(of: cluster, at: now) ?? records.objection(toReplacing: member, in: cluster)
            }
            world.hasTurn = state.turns.isFree(for: cluster)
            world.coming = Self.coming(in: planet, of: cluster, state, failed, at: now)
            return Replacement.next(world, in: &state.places)
        }
    }
}
