import RoostFailover
import RoostModel
import RoostReaders

/// A log as it truly is: which leader's bytes, up to where.
struct TrueLog: Equatable, CustomStringConvertible {
    struct Piece: Equatable {
        var epoch: UInt64
        var end: UInt64
    }

    var pieces: [Piece] = []

    var end: UInt64 { pieces.last?.end ?? 0 }
    /// Every promotion begins one.
    var timeline: UInt32 { UInt32(max(pieces.count, 1)) }
    var forks: [TimelineFork] {
        zip(pieces, 2...).dropLast().map { TimelineFork(timeline: $0.1, begin: LSN($0.0.end)) }
    }

    mutating func append(_ bytes: UInt64, epoch: UInt64) {
        if pieces.last?.epoch == epoch {
            pieces[pieces.count - 1].end += bytes
        } else {
            pieces.append(Piece(epoch: epoch, end: end + bytes))
        }
    }

    func agreement(with other: TrueLog) -> UInt64 {
        var agreed: UInt64 = 0
        for (own, its) in zip(pieces, other.pieces) {
            guard own.epoch == its.epoch else { break }
            agreed = min(own.end, its.end)
            if own.end != its.end { break }
        }
        return agreed
    }

    func isPrefix(of other: TrueLog) -> Bool { agreement(with: other) == end }

    func prefix(_ length: UInt64) -> TrueLog {
        var log = self
        while let last = log.pieces.last, last.end > length {
            let begin = log.pieces.dropLast().last?.end ?? 0
            if begin >= length { log.pieces.removeLast() } else { log.pieces[log.pieces.count - 1].end = length }
        }
        return log
    }

    var description: String { pieces.map { "\($0.epoch)@\($0.end)" }.joined(separator: " ") }
}

/// Three members as a reader meets them: they are led, fall behind, are lost and elect, by the rule that what a standby has on
/// disk is kept.
struct SimulatedCluster {
    struct Member {
        let name: MemberName
        var log = TrueLog()
        var isUp = true
        /// It gets nothing of its leader, though both are there.
        var isStarved = false
        /// Since when it has got nothing: it passes nothing on then.
        var dryFor = 0
        /// It has no place for readers, or is not reached from there.
        var refuses = false
        var places = FedReaders()
        /// Who has a place.
        var fed: [MemberName] = []
        /// The epoch that it follows or leads in.
        var epoch: UInt64 = 1
    }

    var members: [Member]
    var rule: ClusterRule
    var heartbeat: Heartbeat?
    var revision: Int64 = 1
    var ruleRevision: Int64 = 1
    var chance: SplitMix64
    private let spec: ClusterSpec
    private var readerReports: [MemberName: MemberReport] = [:]
    private var electAt: Moment?
    private var beatAt = Moment.zero
    private var writtenMax: UInt64 = 400

    init(seed: UInt64, readers: Int) throws {
        chance = SplitMix64(seed: seed)
        members = try (1...3).map { Member(name: try MemberName("m\($0)")) }
        members[0].log.append(100, epoch: 1)
        let names = members.map(\.name)
        let region = try RegionCode("ams")
        var spec = ClusterSpec(
            name: try AppName("db"), address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test",
            members: names.map { .init(name: $0, region: region) }, createdAt: 1)
        spec.readers = try (0..<readers).map { .init(name: try MemberName("r\(4 + $0)"), region: region) }
        self.spec = spec
        rule = ClusterRule(
            epoch: .first, leader: names[0], members: names, confirmations: 1,
            history: [Reign(epoch: .first, leader: names[0], begin: .zero)], timeline: 1)
    }

    mutating func pick(_ low: Int, _ high: Int) -> Int { low + Int(chance.next() % UInt64(high - low + 1)) }

    var leader: Int { members.firstIndex { $0.name == rule.leader } ?? 0 }
    var isLed: Bool { rule.recruitment == nil && members[leader].isUp }
    func index(of name: MemberName) -> Int? { members.firstIndex { $0.name == name } }

    func isFed(_ index: Int) -> Bool {
        isLed && index != leader && members[index].isUp && !members[index].isStarved
            && members[index].epoch == rule.epoch.number
    }

    var reports: [MemberReport] {
        members.indices.filter { members[$0].isUp }.map { index in
            MemberReport(
                member: members[index].name, role: index == leader ? .primary : .standby, state: .running,
                promised: Epoch(members[index].epoch), position: nil, timeline: members[index].log.timeline,
                replayed: LSN(members[index].log.end), isStreaming: isFed(index), lagBytes: 0, lagMilliseconds: 0)
        }
    }

    var view: StoreView {
        StoreView(
            revision: revision, members: rule.members, rule: rule, ruleRevision: ruleRevision, heartbeat: heartbeat,
            reports: reports)
    }

    mutating func take(_ report: MemberReport) { readerReports[report.member] = report }

    /// Every standby chooses whom it feeds. Whoever leads, or gets nothing itself, feeds nobody.
    mutating func feed(_ streaming: [(reader: MemberName, standby: MemberName)], _ now: Moment) {
        for index in members.indices {
            let (name, epoch) = (members[index].name, Epoch(members[index].epoch))
            guard index != leader, members[index].isUp, members[index].dryFor < 200 else {
                (members[index].places, members[index].fed) = (FedReaders(), [])
                continue
            }
            let calls = FedReaders.calls(for: name, in: epoch, spec, Array(readerReports.values))
            let own = Set(streaming.filter { $0.standby == name }.map(\.reader))
            members[index].fed = members[index].places.choose(calls, streaming: own, now)
        }
    }

    /// Who has a place gets what it asks for; of a leader that would be a reader that is made wrong, and it has the fence of none.
    func gives(_ index: Int, to reader: MemberName) -> Bool {
        let member = members[index]
        return member.isUp && member.dryFor < 200 && !member.refuses
            && (member.fed.contains(reader) || index == leader)
    }

    /// As long as a reader may serve nobody where some standby could feed it: two of them are tried, with pauses between copies; and
    /// one without data waits for those before it.
    var servingMax: Duration { .seconds(100 + 20 * ((spec.readers?.count ?? 1) - 1)) }

    /// A twentieth of a second.
    mutating func step(_ now: Moment) {
        if let at = electAt, now >= at { elect(now) }
        for index in members.indices {
            members[index].dryFor = isFed(index) || index == leader ? 0 : members[index].dryFor + 1
        }
        guard isLed else { return }
        let (lead, epoch) = (leader, rule.epoch.number)
        members[lead].log.append(UInt64(pick(0, Int(writtenMax))), epoch: epoch)
        for index in members.indices where index != lead && members[index].isUp && !members[index].isStarved {
            let source = members[lead].log
            if members[index].epoch != epoch || !members[index].log.isPrefix(of: source) {
                // It is taken back to what its leader has, a moment after it has come.
                guard pick(0, 9) == 0 else { continue }
                members[index].log = members[index].log.prefix(members[index].log.agreement(with: source))
                members[index].epoch = epoch
            }
            let behind = source.end - members[index].log.end
            members[index].log = source.prefix(source.end - min(behind, UInt64(pick(0, 300))))
        }
        guard now >= beatAt else { return }
        beatAt = now + .milliseconds(300)
        revision += 1
        // It opens when a standby has what its reign began with: then every later history has the reign.
        let isOpen = members.indices.contains { index in
            index != lead && members[index].log.pieces.contains { $0.epoch == epoch }
        }
        heartbeat = Heartbeat(
            epoch: rule.epoch, leader: rule.leader, sequence: (heartbeat?.sequence ?? 0) + 1, isOpen: isOpen,
            standbys: members.indices.filter { $0 != lead }.map {
                StandbyView(member: members[$0].name, isConfirming: isFed($0), behindBytes: isFed($0) ? 0 : nil)
            })
    }

    /// The leader is lost, or has to hand over.
    mutating func callForAnother(_ now: Moment, isLost: Bool) {
        guard rule.recruitment == nil else { return }
        if isLost { members[leader].isUp = false }
        rule.recruitment = Recruitment(epoch: rule.epoch.next, proposer: rule.leader, reason: .leaderSilent)
        touchRule()
        electAt = now + .milliseconds(Int64(pick(2, 40) * 50))
    }

    private mutating func touchRule() {
        revision += 1
        ruleRevision = revision
    }

    /// The old leader's answer decides, or those of both others.
    private mutating func elect(_ now: Moment) {
        let old = leader
        let up = members.indices.filter { members[$0].isUp }
        guard up.contains(old) || up.filter({ $0 != old }).count == 2 else { return }
        func rank(_ index: Int) -> (UInt64, UInt64) {
            (members[index].log.pieces.last?.epoch ?? 0, members[index].log.end)
        }
        guard let most = up.map(rank).max(by: <),
            let chosen = up.filter({ rank($0) == most }).randomElement(using: &chance)
        else { return }
        electAt = nil
        let epoch = rule.recruitment?.epoch ?? rule.epoch.next
        let log = members[chosen].log
        var begin: UInt64 = 0
        var history: [Reign] = []
        for piece in log.pieces {
            let leader = rule.history.first { $0.epoch.number == piece.epoch }?.leader ?? rule.leader
            history.append(Reign(epoch: Epoch(piece.epoch), leader: leader, begin: LSN(begin)))
            begin = piece.end
        }
        history.append(Reign(epoch: epoch, leader: members[chosen].name, begin: LSN(begin)))
        rule.epoch = epoch
        rule.leader = members[chosen].name
        rule.history = history
        rule.timeline = UInt32(history.count)
        rule.recruitment = nil
        members[chosen].epoch = epoch.number
        members[chosen].isStarved = false
        // Its promotion writes a record.
        members[chosen].log.append(1, epoch: epoch.number)
        members[chosen].fed = []
        touchRule()
    }
}
