internal import RoostFailover
import RoostModel

// Too few members are left, and a person decides who leads.
extension ClusterSimulation {
    /// What has become of it.
    struct ForcingState {
        var lostAt: Int?
        /// Those that the cluster has lost.
        var lost: Set<Int> = []
        /// They do not come back before all is healed.
        var areDead: Set<Int> = []
        var forcedAt: Int?
        /// What each that was given up had when that was decided.
        var logs: [Int: SimulatedLog] = [:]
        /// The rule that names who was decided on is there.
        var isDone = false
        /// The named one had all that was confirmed or shown.
        var wasWhole = false
        var hasLost = false
        var writtenAt: Int?
        /// When the leader of the store's rule last renewed its lease.
        var renewedAt = 0

        var secondsToForce: Double? { seconds(from: lostAt, to: forcedAt) }
        var secondsToWrite: Double? { seconds(from: forcedAt, to: writtenAt) }

        private func seconds(from begin: Int?, to end: Int?) -> Double? {
            guard let begin, let end else { return nil }
            return Double(end - begin) / 1e6
        }
    }

    private static let lookInterval = 500 * millisecond
    /// As the platform counts it: the lease of the leader, and what its host gives it beyond.
    private static let leaderSilenceMin = 7 * second
    private static let reportMax = 7 * second
    /// A lease, and the time to stop a Postgres and to hear of a rule.
    private static let goodbyeMax = 12 * second

    func isGivenUp(_ member: Int) -> Bool {
        guard let rule = store.view.rule, rule.forced != nil else { return false }
        return rule.givenUp.contains(members[member].name)
    }

    private var forcedEpoch: UInt64 { store.view.rule?.forced?.epoch.number ?? .max }

    /// It may be about to be fenced where it followed a leader of before.
    func mayNotStream(_ member: Int, from leader: Int, epoch: UInt64) -> Bool {
        isGivenUp(member) && !isGivenUp(leader) && (hasSeenForced(member) || epoch >= forcedEpoch)
    }

    /// A decision of members that a person has given up, among themselves: by a rule of before then.
    func isBesideForced(_ rule: ClusterRule) -> Bool {
        guard let forced = store.view.rule?.forced, rule.epoch < forced.epoch, rule.epoch > forced.formerEpoch else {
            return false
        }
        return rule.forced?.epoch != forced.epoch && forced.givenUp.contains(rule.leader)
    }

    func noteHeard(_ request: SimulatedStore.Request, from member: Int) {
        switch request {
        case .report: members[member].reportedAt = time
        case .heartbeat(_, let revision): if revision == store.view.ruleRevision { forcing.renewedAt = time }
        case .read, .rule: break
        }
    }

    func force() {
        guard let wish = scenario.forcing, !isHealed else { return }
        if forcing.forcedAt != nil {
            checkWritesForced()
            guard forcing.writtenAt == nil else { return }
            // Of those that were left one may have been lost a moment before: a person sees it, and decides again.
            if forcing.isDone || !decide(wish) { schedule(.force, after: Self.lookInterval) }
            return
        }
        guard forcing.lostAt != nil else {
            lose(allBut: wish.left)
            return schedule(.force, after: Self.lookInterval)
        }
        if !decide(wish) { schedule(.force, after: Self.lookInterval) }
    }

    private func lose(allBut left: Int) {
        guard store.view.rule != nil else { return }
        forcing.lostAt = time
        var places = present
        while forcing.lost.count < present.count - left, let member = places.isEmpty ? nil : random.choose(places) {
            places.removeAll { $0 == member }
            forcing.lost.insert(member)
        }
        note("lost: \(forcing.lost.sorted().map { members[$0].name })")
        let areTogether = random.chance(50)
        for member in forcing.lost.sorted() {
            // Some are merely cut off: their leader has clients of its own.
            if random.chance(areTogether ? 75 : 50) {
                cutOff(member, areTogether: areTogether)
            } else {
                killMachine(member)
                if random.chance(50) {
                    forcing.areDead.insert(member)
                } else {
                    schedule(.start(member), after: random.pick(8, 60) * Self.second)
                }
            }
        }
    }

    private func cutOff(_ member: Int, areTogether: Bool) {
        let others = (0...storePlace).filter { other in
            other != member && !(areTogether && forcing.lost.contains(other))
        }
        let ways = others.flatMap { [(member, $0), ($0, member)] }
        for (from, to) in ways { cuts[from][to] += 1 }
        guard random.chance(50) else { return }
        // It is back before all is healed.
        let long = random.pick(20, 60) * Self.second
        schedule(.repair(.join(ways)), after: long)
    }

    // MARK: - The person

    /// - Returns: whether it is decided.
    private func decide(_ wish: ClusterScenario.Forcing) -> Bool {
        guard let rule = store.view.rule, time >= storeAwayUntil,
            time - forcing.renewedAt >= Self.leaderSilenceMin || !forcing.lost.contains(place(of: rule.leader))
        else { return false }
        let heard = members.indices.filter { member in
            members[member].reportedAt.map { time - $0 <= Self.reportMax } ?? false
        }
        var sight = ForcedElection.Sight(reports: store.view.reports, heard: Set(heard.map { members[$0].name }))
        if time - forcing.renewedAt < Self.leaderSilenceMin, store.view.heartbeat?.epoch == rule.epoch {
            sight.lease = store.view.heartbeat
            sight.confirming = Set((store.view.heartbeat?.standbys ?? []).filter(\.isConfirming).map(\.member))
        }
        let fit = ForcedCandidate.all(of: rule, sight).filter { $0.unfitness == nil }.map(\.member)
        do throws(ForcedElection.Obstacle) {
            let named = wish.namesAny && !fit.isEmpty ? random.choose(fit) : nil
            let election = try ForcedElection(of: rule, sight, to: named)
            // Of a person who looks well: whoever is heard again is no reason to give anybody up.
            guard election.keeps.contains(where: { !forcing.lost.contains(place(of: $0)) }) else { return false }
            tokens += 1
            let next = election.rule(id: "force \(tokens)", at: wallClock, by: nil)
            note("a person decides: \(next)")
            begin(election)
            store.changeRule { $0 = next }
            publish()
            return true
        } catch {
            note("a person cannot decide: \(error)")
            return false
        }
    }

    private func begin(_ election: ForcedElection) {
        forcing.forcedAt = time
        let log = members[place(of: election.member)].postgres.log
        forcing.wasWhole = exposed.allSatisfy { log.contains(epoch: $0.epoch, end: $0.end) }
        for name in election.givesUp { forcing.logs[place(of: name)] = members[place(of: name)].postgres.log }
        schedule(.force, after: Self.lookInterval)
    }

    private func place(of member: MemberName) -> Int { members.firstIndex { $0.name == member } ?? 0 }

    // MARK: - What must hold

    /// What the named one has is in the history; what it has not is lost, and nothing else is.
    func noteForced(_ rule: ClusterRule) {
        guard let forced = rule.forced, forced.epoch == rule.epoch, rule.recruitment == nil, !forcing.isDone else {
            return
        }
        forcing.isDone = true
        if rule.leader != forced.member {
            return fail("\(rule.leader) leads epoch \(rule.epoch), and a person has decided that \(forced.member) does")
        }
        for piece in members[place(of: forced.member)].postgres.log.honest.pieces
        where !Self.keeps(rule.history, piece) {
            fail("\(piece.end) of epoch \(piece.epoch) is given up, and \(forced.member) has it: \(rule.history)")
        }
        for member in members.indices where rule.members.contains(members[member].name) {
            guard case .following(let leader, _) = members[member].postgres.mode, isGivenUp(leader) else { continue }
            fail("\(members[member].name) still follows \(members[leader].name), which was given up")
        }
        for piece in exposed where !Self.keeps(rule.history, piece) {
            for member in members.indices where rule.members.contains(members[member].name) {
                guard members[member].postgres.log.contains(epoch: piece.epoch, end: piece.end) else { continue }
                fail(
                    "\(piece.end) of epoch \(piece.epoch) is given up, and \(members[member].name), which stays, has it"
                )
            }
        }
        var kept: [SimulatedLog.Piece] = []
        for piece in exposed {
            if Self.keeps(rule.history, piece) {
                kept.append(piece)
            } else if let index = rule.history.firstIndex(where: { $0.epoch.number == piece.epoch }) {
                kept.append(.init(epoch: piece.epoch, end: rule.history[index + 1].begin.offset))
            }
        }
        forcing.hasLost = kept != exposed
        if forcing.hasLost, forcing.wasWhole {
            fail("\(forced.member) had all that was confirmed, and some of it is lost: \(exposed), then \(kept)")
        }
        exposed = kept
    }

    func noteGivenUp(_ member: Int, _ rule: ClusterRule?) {
        guard let rule, rule.forced != nil, rule.givenUp.contains(members[member].name) else { return }
        members[member].toldGivenUpAt = members[member].toldGivenUpAt ?? time
    }

    /// One that has been told, and has had the time to take leave. One that reaches nobody but others that were given up
    /// cannot know it, and goes on with them.
    func hasSeenForced(_ member: Int) -> Bool {
        guard isGivenUp(member), let toldAt = members[member].toldGivenUpAt else { return false }
        return members[member].startedAt > toldAt || time - toldAt > Self.goodbyeMax
    }

    /// Enough that were given up with it have not been told, or a moment ago, and may have renewed its lease.
    func mayBeVouched(_ member: Int) -> Bool {
        let unaware = members.indices.count { other in
            other != member && isGivenUp(other)
                && members[other].toldGivenUpAt.map { time - $0 <= Self.goodbyeMax } ?? true
        }
        return unaware >= max(ClusterRule.confirmations(of: members.count), 1)
    }

    func checkConfirmsForced(_ member: Int) {
        if hasSeenForced(member) { fail("\(members[member].name) was given up, and confirms") }
        if !isGivenUp(member), forcing.isDone, forcing.writtenAt == nil { forcing.writtenAt = time }
    }

    func checkServesForced(_ member: Int) {
        if hasSeenForced(member) { fail("\(members[member].name) was given up, and leads or lets clients in") }
    }

    /// All that run have been told, and had the time to take leave.
    var haveGivenUpLeft: Bool {
        members.indices.allSatisfy { !isGivenUp($0) || !members[$0].isUp || hasSeenForced($0) }
    }

    /// All that it had is on its volume, and it takes no part.
    func checkGivenUpAtTheEnd() {
        for (member, log) in forcing.logs.sorted(by: { $0.key < $1.key }) where isGivenUp(member) {
            let name = members[member].name
            // Among themselves they may have chosen another leader, and taken back what that one had not.
            let isTheirOwn = decisions.values.contains(where: isBesideForced)
            if !isTheirOwn, !log.isPrefix(of: members[member].postgres.log) {
                fail("\(name) was given up with \(log), and has \(members[member].postgres.log)")
            }
            if members[member].postgres.stream != nil || members[member].gateIsOpen { fail("\(name) takes part") }
        }
    }

    /// By then a cluster that nothing else befalls can be written to.
    func checkWritesForced() {
        guard scenario.faults.isEmpty, let forcedAt = forcing.forcedAt, forcing.writtenAt == nil,
            time - forcedAt >= scenario.primaryWithinSeconds * Self.second
        else { return }
        fail("nobody can write \(scenario.primaryWithinSeconds) s after a person has decided who leads")
    }
}
