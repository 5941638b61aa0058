import RoostFailover
import RoostHost
import RoostLinux
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
import Synchronization

// Whose turn it is, and how far those have come that are to come.
extension ReplacementDesk {
    /// Takes a turn for what is about to be asked for.
    ///
    /// - Returns: false: too many are under way.
    func begin(_ turn: ReplacementTurns.Turn) -> Bool {
        let now = clock()
        return state.withLock { $0.turns.take(turn, at: now) }
    }

    /// It was asked for: the turn is taken until that shows.
    func began(_ turn: ReplacementTurns.Turn) {
        let now = clock()
        state.withLock { $0.turns.began(turn, at: now) }
    }

    /// It was not, so that it is somebody else's turn.
    ///
    /// - Parameter refusal: nil: somebody has changed the cluster meanwhile.
    func gaveUp(_ turn: ReplacementTurns.Turn, because refusal: String?) {
        let now = clock()
        state.withLock { $0.turns.gaveUp(turn, because: refusal, at: now) }
    }

    /// Until somebody hears the cluster, nobody can say that its new member is silent.
    static func coming(under rule: ClusterRule) -> ReplacementWatch.Sight.Coming? {
        guard let change = rule.change, change.isAutomatic == true, change.current != nil,
            change.comer(under: rule) != nil
        else { return nil }
        return .init(change: change.id, isHeard: true)
    }

    static func coming(
        in planet: Planet, of cluster: AppName, _ state: State, _ failed: [MemberName: MachineID], at now: Moment
    ) -> Replacement.Coming? {
        guard let records = planet.clusters[cluster], let rule = records.rule,
            let comer = rule.change?.comer(under: rule),
            let times = state.watch.coming(in: cluster, at: now)
        else { return nil }
        var stage = Replacement.Coming.Stage.placeless
        if let placement = records.placements[comer] {
            let isMade = planet.has(placement.machine, on: placement.host)
            stage = failed[comer] != nil ? .failed : isMade ? .made : .unmade
        }
        return Replacement.Coming(stage: stage, lasted: times.lasted, silent: times.silent)
    }

    /// Members whose host answers and says that their machine cannot be started.
    static func failures(
        _ placements: [MemberName: MemberPlacement], in planet: Planet, _ reachable: Set<HostName>
    ) -> [MemberName: MachineID] {
        placements.filter { _, placement in
            reachable.contains(placement.host)
                && planet.machine(placement.machine, on: placement.host)?.state == .failed
        }.mapValues(\.machine)
    }

    /// What those will take that are asked for and have no place yet.
    static func placeless(
        _ clusters: Set<AppName>, in planet: Planet
    ) -> [(cluster: AppName, request: PlacementRequest)] {
        clusters.sorted().flatMap { cluster -> [(cluster: AppName, request: PlacementRequest)] in
            guard let records = planet.clusters[cluster], let spec = records.spec, let rule = records.rule else {
                return []
            }
            let comer = rule.change?.comer(under: rule)
            let member = spec.members.first { $0.name == comer && records.placements[$0.name] == nil }.map {
                PlacementRequest(for: $0, of: spec, occupied: spec.hostsOfMembers(records.placements))
            }
            let occupied = Set(records.placements.values.map(\.host))
            let readers = (spec.readers ?? []).filter { $0.cameFor != nil && records.placements[$0.name] == nil }.map {
                PlacementRequest(forReader: $0, of: spec, occupied: occupied)
            }
            return ([member].compactMap(\.self) + readers).map { (cluster, $0) }
        }
    }
}

/// Replacements that are under way on the planet, or are just being asked for. A turn is had by who has asked for one, and not by
/// who would like to: what is refused keeps nobody waiting.
struct ReplacementTurns: Sendable {
    /// A cluster has one for its members, and one for its readers.
    enum Turn: Hashable {
        case members(AppName)
        case readers(AppName)

        var isOfReaders: Bool {
            switch self {
            case .members: false
            case .readers: true
            }
        }
    }

    private struct Failure {
        var count: Int
        var until: Moment
        var why: String
    }

    /// As it shows.
    private var underWay: Set<Turn> = []
    /// What is being asked for, or was and does not show yet.
    private var taken: [Turn: Moment] = [:]
    private var failures: [Turn: Failure] = [:]

    /// What was asked for shows within this time.
    static let shownMax = Duration.seconds(10)
    /// After the first refusal; twice as long after each further one.
    static let pauseFirst = Duration.seconds(15)
    static let pauseMax = Duration.seconds(600)

    mutating func see(_ turns: Set<Turn>, at now: Moment) {
        underWay = turns
        taken = taken.filter { now - $0.value < Self.shownMax && !turns.contains($0.key) }
        // One that was refused for long ago is a new one.
        failures = failures.filter { now - $0.value.until < Self.pauseMax }
        for turn in turns { failures[turn] = nil }
    }

    func isFree(for turn: Turn) -> Bool {
        let others = underWay.union(taken.keys).subtracting([turn])
        // Those that copy again, whatever for, may be more: they keep no member from its turn.
        let readers = min(others.count(where: \.isOfReaders), Replacement.readersUnderWayMax)
        let members = others.count(where: { !$0.isOfReaders })
        guard members + readers < Replacement.underWayMax else { return false }
        return !turn.isOfReaders || readers < Replacement.readersUnderWayMax
    }

    /// It is being asked for, or was a moment ago.
    func isTaken(_ turn: Turn) -> Bool { taken[turn] != nil }

    /// Why nobody asks again at once.
    func refusal(of turn: Turn, at now: Moment) -> String? {
        failures[turn].flatMap { now < $0.until ? $0.why : nil }
    }

    mutating func take(_ turn: Turn, at now: Moment) -> Bool {
        guard isFree(for: turn) else { return false }
        taken[turn] = now
        return true
    }

    mutating func began(_ turn: Turn, at now: Moment) {
        taken[turn] = now
        failures[turn] = nil
    }

    mutating func gaveUp(_ turn: Turn, because refusal: String?, at now: Moment) {
        taken[turn] = nil
        guard let refusal else { return }
        let count = (failures[turn]?.count ?? 0) + 1
        var pause = Self.pauseFirst
        for _ in 1..<count where pause < Self.pauseMax { pause = pause * 2 }
        failures[turn] = Failure(count: count, until: now + min(pause, Self.pauseMax), why: refusal)
    }
}

extension MemberChange {
    /// How long ago it was asked for, by the clock of whoever was asked and by the one here; nil: its id does not say it.
    func age(at wallClock: Int64 = WallClock.milliseconds()) -> Duration? {
        InstanceID.time(of: id).map { .milliseconds(wallClock - $0) }
    }
}

extension Planet {
    /// As placement sees the hosts: also with what clusters' members were promised there, of which the hosts do not say
    /// anything yet.
    func placementHosts(reachable: Set<HostName>) -> [PlacementHost] {
        var promised: [HostName: [PlacementRequest]] = [:]
        for records in clusters.values {
            guard let spec = records.spec else { continue }
            for placement in records.placements.values
            where !has(placement.machine, on: placement.host) && host(of: placement.volume) != placement.host {
                promised[placement.host, default: []].append(
                    PlacementRequest(
                        region: placement.region, guest: spec.guest, disk: spec.volumeSize, app: spec.name))
            }
        }
        return hosts.values.map { record in
            let host = PlacementHost(record: record, isReachable: reachable.contains(record.host))
            return (promised[record.host] ?? []).reduce(host) { $0.promising($1) }
        }
    }
}

extension Planet.ClusterRecords {
    /// Why the wish that a lost member be replaced would be refused, as far as the records say: who asks is spared the
    /// try.
    func objection(toReplacing member: MemberName, in cluster: AppName) -> String? {
        guard let rule else { return nil }
        if let why = reversal(as: objectors(leaving: member), of: cluster) { return why }
        do throws(Refusal) {
            try ClusterDirectory.check(rule.members.filter { $0 != member }, have: .members, reports)
            return nil
        } catch {
            return error.message
        }
    }
}
