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
        /// A lost member is about to be replaced.
        var isMemberDue = false
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

    /// What one look shows.
    private struct Look {
        var sight = ReplacementWatch.Sight()
        var heard: [AppName: Set<MemberName>] = [:]
        var open: Set<AppName> = []
        var underWay: Set<AppName> = []
        var failed: [AppName: [MemberName: MachineID]] = [:]
        var leaders: [AppName: MemberName] = [:]
        /// Wishes for another leader that have come to nothing.
        var vain: Set<AppName> = []
        /// After which time lost members are replaced, where no change of members is under way.
        var terms: [AppName: (members: Set<MemberName>, term: Duration)] = [:]
    }

    /// One look, as often as something may have become different by time alone.
    ///
    /// - Returns: clusters in which somebody is lost, or was at the look before, or is being replaced.
    func look(at planet: Planet, reachable: Set<HostName>) -> Set<AppName> {
        var look = Look()
        look.sight.hosts = planet.hosts.mapValues(\.region)
        look.sight.reachable = reachable
        for (name, records) in planet.clusters {
            guard let spec = records.spec, !spec.isDestroying, let rule = records.rule else { continue }
            see(name, spec, rule, records, in: planet, &look)
        }
        let sight = look.sight
        var lossy = Set(sight.lost.filter { !$0.value.isEmpty }.keys)
        lossy.formUnion(sight.readers.filter { $0.value.values.contains(false) }.keys)
        // Nobody asks for a place while nobody is lost.
        let hosts = lossy.isEmpty ? [] : planet.placementHosts(reachable: reachable)
        let waiting = lossy.isEmpty ? [] : Self.placeless(look.underWay.union(sight.readers.keys), in: planet)
        let now = clock()
        return state.withLock { [look] state in
            let before = state.watch.clusters.union(state.failed.keys)
            state.places.see(hosts, for: lossy.union(waiting.map(\.cluster)))
            for (cluster, request) in waiting { state.places.promise(request, to: cluster) }
            state.failed = look.failed
            let former = state.homecoming
            state.homecoming = [:]
            for (name, leader) in look.leaders {
                state.homecoming[name] = former[name].flatMap { $0.member == leader ? $0 : nil } ?? (leader, now)
            }
            state.watch.see(look.sight, at: now)
            (state.heard, state.open, state.underWay) = (look.heard, look.open, look.underWay)
            state.turns.see(
                Set(state.watch.turns(at: now).map { .members($0) })
                    .union(state.watch.turnsOfReaders(at: now).map { .readers($0) }), at: now)
            state.isMemberDue = look.terms.contains { cluster, due in
                state.watch.lost(in: cluster, at: now).contains { member, lasted in
                    due.members.contains(member) && lasted >= due.term
                        && lasted < due.term + Replacement.membersFirst
                }
            }
            return before.union(state.watch.clusters).union(look.underWay).union(look.leaders.keys)
                .union(look.failed.keys).union(look.vain)
        }
    }

    private func see(
        _ name: AppName, _ spec: ClusterSpec, _ rule: ClusterRule, _ records: Planet.ClusterRecords, in planet: Planet,
        _ look: inout Look
    ) {
        let reachable = look.sight.reachable
        if let away = spec.ledAway, Homecoming.hasFailed(away, under: rule) { look.vain.insert(name) }
        let (members, readers) = (Set(rule.members + records.coming), Set((spec.readers ?? []).map(\.name)))
        // What is left of one that is no member holds up nobody.
        look.sight.seats.formUnion(records.placements.filter { members.contains($0.key) }.map(\.value.host))
        look.sight.readerSeats.formUnion(records.placements.filter { readers.contains($0.key) }.map(\.value.host))
        let isUnderWay = rule.change?.isAutomatic == true && rule.change?.current != nil
        if isUnderWay { look.underWay.insert(name) }
        look.sight.coming[name] = Self.coming(under: rule)
        let comers = Self.readersComing(spec, records)
        // As with members: until somebody hears the cluster, nobody can say that one is silent.
        if !comers.isEmpty { look.sight.readers[name] = comers.reduce(into: [:]) { $0[$1] = true } }
        if let change = rule.change, change.isAutomatic == true, change.refusal != nil {
            look.sight.takenBack[name] = change.id
        }
        let suspects = records.placements.filter { !reachable.contains($0.value.host) }
        let failures = Self.failures(records.placements.filter { !readers.contains($0.key) }, in: planet, reachable)
        if !failures.isEmpty { look.failed[name] = failures }
        let isAway = spec.home.map { home in records.placements[rule.leader]?.region != home } ?? false
        guard isUnderWay || isAway || !suspects.isEmpty || !comers.isEmpty, let voices = self.voices(name) else {
            return
        }
        let heard = Self.heard(records, rule, voices)
        look.heard[name] = heard
        if voices.isLeaderRenewing, let beat = records.heartbeat, beat.epoch == rule.epoch, beat.isOpen {
            look.open.insert(name)
        }
        look.leaders[name] = leader(of: spec, records, rule, voices, isOpen: look.open.contains(name))
        // While it is paused somebody works on its hosts, and may need all of the time again afterwards.
        guard ClusterStatus.pause(of: rule, hearing: voices, at: wallClock()) == nil else { return }
        let lost = Set(suspects.keys).intersection(members.union(readers)).subtracting(heard)
        look.sight.lost[name] = lost
        if case .after(let term) = spec.replaceAfter ?? .standard, rule.change?.current == nil {
            look.terms[name] = (lost.intersection(rule.members), term)
        }
        if let comer = rule.change?.comer(under: rule), !heard.contains(comer) {
            look.sight.coming[name]?.isHeard = false
        }
        for reader in comers where !heard.contains(reader) && records.placements[reader] != nil {
            look.sight.readers[name]?[reader] = false
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
            let readers = state.watch.readers(in: cluster, at: now)
            guard !lost.isEmpty || !failed.isEmpty || !readers.isEmpty || state.underWay.contains(cluster) else {
                return Plan()
            }
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
                    state.turns.refusal(of: .members(cluster), at: now)
                    ?? records.objection(toReplacing: member, in: cluster)
            }
            world.hasTurn = state.turns.isFree(for: .members(cluster))
            world.readers = Self.readers(of: cluster, spec, in: planet, state, coming: readers, at: now)
            world.coming = Self.coming(in: planet, of: cluster, state, failed, at: now)
            return Replacement.next(world, in: &state.places)
        }
    }
}
