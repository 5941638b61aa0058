import RoostLinux
public import RoostModel
public import RoostPlanet
public import RoostWire
public import ServiceLifecycle
import Synchronization

/// Since when nothing new has been heard of whom. A record in the store has no age, and the clocks of those who write it
/// are theirs: this host goes by when it saw the record change, by its own clock.
public final class ClusterHearing: Service, Sendable {
    /// Ages are this much too small at most.
    static let interval = Duration.seconds(1)

    private let watcher: PlanetWatcher
    private let ledger = Mutex(HearingLedger())

    public init(watcher: PlanetWatcher) { self.watcher = watcher }

    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                _ = silent()
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    /// The planet, and for how long nothing new was heard of whom in this cluster, as of that same planet: who has spoken
    /// since the last look is not called silent beside their own words. Nil where the cluster is not heard.
    public func heard(_ cluster: AppName) -> (planet: Planet, silence: ClusterSilence)? {
        ledger.withLock { ledger in
            guard let (planet, listing) = watcher.planet(hearing: cluster) else { return nil }
            let now = BootClock.now()
            if let records = planet.clusters[cluster] { ledger.note(records, of: cluster, listing: listing, now) }
            return (planet, ledger.silence(in: cluster, now))
        }
    }

    /// Who was seen to speak a moment ago; nil where the cluster is not heard.
    public func voices(of cluster: AppName) -> ClusterVoices? {
        ledger.withLock { ledger in
            guard let (planet, listing) = watcher.planet(hearing: cluster) else { return nil }
            guard let records = planet.clusters[cluster] else { return nil }
            let now = BootClock.now()
            ledger.note(records, of: cluster, listing: listing, now)
            var voices = ledger.voices(of: cluster, now)
            voices.silent = ledger.silentMembers(of: cluster, now)
            let silence = ledger.silence(in: cluster, now)
            voices.quiet = silence.members.sorted { $0.key < $1.key }.map {
                MemberQuiet(member: $0.key, milliseconds: $0.value.milliseconds)
            }
            voices.leaderQuietMilliseconds = silence.leader?.milliseconds
            voices.leaderBeat = ledger.leaderBeat(of: cluster)
            return voices
        }
    }

    /// Who is known to have said nothing for too long; nobody where the cluster is not heard.
    public func silentMembers(of cluster: AppName) -> Set<MemberName> { voices(of: cluster)?.silent ?? [] }

    /// Of the clusters that are heard now, those in which somebody has said nothing for too long. Of a cluster that is not
    /// heard nobody is silent: what is known of it is all there is, and what was heard before it comes back says nothing.
    public func silent() -> [AppName: SilentMembers] {
        ledger.withLock { ledger in
            let now = BootClock.now()
            let (clusters, listings) = watcher.heardClusters()
            ledger.note(clusters, listings: listings, now)
            return ledger.silent(now)
        }
    }
}

/// For how long nothing new was heard of a cluster's leader and of its members.
public struct ClusterSilence: Hashable, Sendable {
    /// Of the heartbeat of the leader that the rule names; of one that has not sent any, of the rule that names it.
    public var leader: Duration?
    /// Of each member's own reports; not of one whose program does not count them.
    public var members: [MemberName: Duration] = [:]
    /// What is there of the leader's heartbeat was there when this host began to hear the cluster: it may be of any time.
    public var isLeaderUnheard = false
    /// Of the reports of these the same is true.
    public var unheard: Set<MemberName> = []
    /// How many leaders were named in the last ``HearingLedger/electionsSpan``, as far as this host has heard the cluster.
    var elections = 0
    /// What is left of the terms that the rule has, by this host's own clock.
    var terms: [TermClock.Left] = []

    /// What is left of a term: counted since it came, where this host saw it come; else by wall clocks, of which one may be
    /// wrong.
    func left(of term: WishTerm, at wallClock: Int64) -> Duration {
        terms.first { $0.term == term }?.left ?? term.left(at: wallClock)
    }

    /// A leader that has not renewed its lease for this long is not heard from.
    public static let leaderMax = Heartbeat.lease
    /// A member that has not reported for this long is not heard from: one of its reports was lost, and the next is late.
    public static let reportMax = MemberReport.tick * 2 + .seconds(1)

    public init(
        leader: Duration? = nil, members: [MemberName: Duration] = [:], isLeaderUnheard: Bool = false,
        unheard: Set<MemberName> = []
    ) {
        self.leader = leader
        self.members = members
        self.isLeaderUnheard = isLeaderUnheard
        self.unheard = unheard
    }

    init(
        leader: Duration?, members: [MemberName: Duration], isLeaderUnheard: Bool, unheard: Set<MemberName>,
        terms: [TermClock.Left]
    ) {
        self.init(leader: leader, members: members, isLeaderUnheard: isLeaderUnheard, unheard: unheard)
        self.terms = terms
    }
}

/// Who of a cluster was not heard from for so long that what they said last says nothing of now.
public struct SilentMembers: Hashable, Sendable {
    public var isLeaderSilent: Bool
    public var members: Set<MemberName>

    public init(isLeaderSilent: Bool = false, members: Set<MemberName> = []) {
        self.isLeaderSilent = isLeaderSilent
        self.members = members
    }

    init(_ silence: ClusterSilence) {
        isLeaderSilent = silence.leader.map { $0 > ClusterSilence.leaderMax } ?? false
        members = Set(silence.members.filter { $0.value > ClusterSilence.reportMax }.keys)
    }

    var isNobody: Bool { self == SilentMembers() }
}

/// The pure part of ``ClusterHearing``.
struct HearingLedger: Sendable {
    private struct Sign: Hashable {
        /// Nil: a leader that was named and has said nothing yet.
        var sequence: UInt64?
        var epoch: Epoch
        var since: Moment
        /// It came after what this host had listed. What was listed may be of any time, and of who is dead since.
        var isSeenToCome = false
    }

    private struct Signs {
        /// What these go on from: see ``PlanetWatcher/heardClusters()``. Nil: the cluster is not heard just now.
        var listing: UInt64?
        var notedAt: Moment
        var leader: Sign?
        var members: [MemberName: Sign] = [:]
        var terms: [TermClock] = []
        /// Those whose reports have no number: nobody can tell one from the next.
        var unnumbered: Set<MemberName> = []
        var openings: UInt64 = 0
        /// The latest that a rule had; nil: there was none.
        var epoch: Epoch?
        /// When later leaders than that one were seen to be named.
        var elections: [Moment] = []
        /// Since nobody can have let clients in any more by the rule: what number each member's reports had then. Nil while a
        /// leader may.
        var quiet: [MemberName: UInt64]?
    }

    private var clusters: [AppName: Signs] = [:]

    /// What was heard before a cluster was not heard for so long says nothing any more. A watch that is begun anew takes less.
    static let gapMax = ClusterSilence.leaderMax
    /// For so long it is remembered that a leader was named.
    static let electionsSpan = Duration.seconds(600)

    /// - Parameter heard: the clusters that are heard now; the others are forgotten when they are not heard again soon.
    mutating func note(
        _ heard: [AppName: Planet.ClusterRecords], listings: [AppName: UInt64] = [:], _ now: Moment,
        wallClock: Int64 = WallClock.milliseconds()
    ) {
        clusters = clusters.filter { heard[$0.key] != nil || now - $0.value.notedAt <= Self.gapMax }
        for name in clusters.keys where heard[name] == nil { clusters[name]?.listing = nil }
        for (name, records) in heard {
            note(records, of: name, listing: listings[name, default: 0], now, wallClock: wallClock)
        }
    }

    /// What this one cluster's records are now; the others are as they were.
    mutating func note(
        _ records: Planet.ClusterRecords, of name: AppName, listing: UInt64 = 0, _ now: Moment,
        wallClock: Int64 = WallClock.milliseconds()
    ) {
        let before = clusters[name].flatMap { now - $0.notedAt <= Self.gapMax || $0.listing != nil ? $0 : nil }
        let goesOn = before?.listing == listing
        var signs = Signs(listing: listing, notedAt: now)
        if let rule = records.rule {
            // What a leader before it said, and for how long it has said nothing, is not this one's.
            let beat = records.heartbeat.flatMap { $0.epoch == rule.epoch ? $0.sequence : nil }
            signs.leader = Self.sign(before?.leader, beat, rule.epoch, now, goesOn)
            signs.epoch = max(before?.epoch ?? .none, rule.epoch)
            signs.elections = Self.elections(under: rule, before, now)
            signs.terms = [rule.pause, rule.restart?.term].compactMap(\.self).map { term in
                TermClock.of(term, among: before?.terms ?? [], isComing: goesOn, now, wallClock)
            }
        }
        for (member, report) in records.reports {
            guard let sequence = report.sequence else { continue }
            signs.members[member] = Self.sign(before?.members[member], sequence, report.promised, now, goesOn)
        }
        signs.unnumbered = Set(records.reports.values.filter { $0.sequence == nil }.map(\.member))
        signs.openings = records.openings.count
        let mayBeOpen = Self.mayBeOpen(records, signs.leader, now) || goesOn && signs.openings != before?.openings
        if !mayBeOpen {
            // Whoever says something for the first time, or begins to count anew, counts from there on.
            let present = signs.members.compactMapValues(\.sequence)
            signs.quiet = present.merging((goesOn ? before?.quiet : nil) ?? [:]) { min($0, $1) }
        }
        clusters[name] = signs
    }

    /// In an older copy of the store nobody was named, nor when a newer one takes its place.
    private static func elections(under rule: ClusterRule, _ before: Signs?, _ now: Moment) -> [Moment] {
        let known = (before?.elections ?? []).filter { now - $0 <= electionsSpan }
        guard let epoch = before?.epoch else { return known }
        let new = rule.history.count { $0.epoch > epoch }
        return Array((known + Array(repeating: now, count: new)).suffix(ClusterRule.historyMax))
    }

    private static func sign(
        _ before: Sign?, _ sequence: UInt64?, _ epoch: Epoch, _ now: Moment, _ goesOn: Bool
    ) -> Sign {
        // What was heard was heard then, whatever was listed since: a listing adds nothing to it and takes nothing away.
        if let before, before.sequence == sequence, before.epoch == epoch { return before }
        var sign = Sign(sequence: sequence, epoch: epoch, since: now)
        // Who lives counts on from what is there, a new leader from the start; a number that is lower is of an older copy of
        // the store.
        if goesOn, let sequence {
            let counted = before.flatMap { $0.epoch < epoch ? nil : $0.sequence }
            sign.isSeenToCome = counted.map { RecordNumber.isLater(sequence, than: $0) } ?? true
        }
        return sign
    }

    /// The leader lets clients in, or has done so last, and may not know yet that its lease has ended.
    private static func mayBeOpen(_ records: Planet.ClusterRecords, _ leader: Sign?, _ now: Moment) -> Bool {
        guard let beat = records.heartbeat, beat.isOpen, let leader else { return false }
        return now - leader.since <= Heartbeat.lease + Heartbeat.grace
    }

    /// The first report since then may have been made before; the next one was not.
    private static let reportsToSettle: UInt64 = 2

    func voices(of cluster: AppName, _ now: Moment) -> ClusterVoices {
        guard let signs = clusters[cluster] else { return ClusterVoices() }
        func speaks(_ sign: Sign, _ max: Duration) -> Bool { sign.isSeenToCome && now - sign.since <= max }
        let members = signs.members.filter { speaks($0.value, ClusterSilence.reportMax) }
        let settled = members.filter { member, sign in
            guard let base = signs.quiet?[member], let sequence = sign.sequence, sequence > base else { return false }
            return sequence - base >= Self.reportsToSettle
        }
        return ClusterVoices(
            members: Set(members.keys),
            isLeaderRenewing: signs.leader.map { speaks($0, ClusterSilence.leaderMax) } ?? false,
            settled: Set(settled.keys),
            terms: signs.terms.map { TermLeft(term: $0.term, left: max($0.endsAt - now, .zero)) })
    }

    /// The heartbeat of the rule's leader that its silence is counted from; nil: it has sent none.
    func leaderBeat(of cluster: AppName) -> UInt64? { clusters[cluster]?.leader?.sequence }

    /// What they said last is not said any more: nothing new has come of it for too long, or nobody could tell.
    func silentMembers(of cluster: AppName, _ now: Moment) -> Set<MemberName> {
        SilentMembers(silence(in: cluster, now)).members.union(clusters[cluster]?.unnumbered ?? [])
    }

    func silence(in cluster: AppName, _ now: Moment) -> ClusterSilence {
        guard let signs = clusters[cluster] else { return ClusterSilence() }
        var silence = ClusterSilence(
            leader: signs.leader.map { now - $0.since }, members: signs.members.mapValues { now - $0.since },
            isLeaderUnheard: signs.leader.map { $0.sequence != nil && !$0.isSeenToCome } ?? false,
            unheard: Set(signs.members.filter { !$0.value.isSeenToCome }.keys),
            terms: signs.terms.map { TermClock.Left(term: $0.term, left: max($0.endsAt - now, .zero)) })
        silence.elections = signs.elections.count { now - $0 <= Self.electionsSpan }
        return silence
    }

    func silent(_ now: Moment) -> [AppName: SilentMembers] {
        clusters.filter { $0.value.listing != nil }.keys.reduce(into: [:]) { silent, name in
            let members = SilentMembers(silence(in: name, now))
            if !members.isNobody { silent[name] = members }
        }
    }
}

extension Planet.ClusterRecords {
    /// Commits may be confirmed by this member: its leader says so. Of a leader that does not say, the member itself is
    /// believed.
    public func confirms(_ member: MemberName) -> Bool {
        guard let rule, rule.leader != member, let report = reports[member], report.isStreaming,
            report.promised == rule.epoch
        else { return false }
        guard let heartbeat, heartbeat.epoch == rule.epoch, let standbys = heartbeat.standbys else { return true }
        return standbys.contains { $0.member == member && $0.isConfirming }
    }

    /// How much of its leader's log a standby does not show yet: what it has not received, and what it has not replayed.
    public func lagBytes(of member: MemberName) -> UInt64 {
        let view = heartbeat?.standbys?.first { $0.member == member }
        return (reports[member]?.lagBytes ?? 0) + (view?.behindBytes ?? 0)
    }

    /// The reader streams from a standby that confirms, as both say in the present epoch, and its host has let clients in.
    public func isFed(_ reader: MemberName) -> Bool {
        guard let rule, let report = reports[reader], report.isStreaming, report.isOpen == true,
            report.promised == rule.epoch
        else { return false }
        return report.upstream.map(confirms) ?? false
    }

    /// How much of the leader's log a reader does not show yet: what its standby does not, and what it has less than that.
    public func lagBytes(ofReader reader: MemberName) -> UInt64 {
        guard let report = reports[reader], let upstream = report.upstream, let shown = reports[upstream]?.replayed
        else {
            return 0
        }
        let less = shown > report.replayed ? shown.offset - report.replayed.offset : 0
        return lagBytes(of: upstream) + less
    }
}
