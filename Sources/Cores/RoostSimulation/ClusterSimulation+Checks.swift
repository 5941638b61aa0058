internal import RoostFailover
import RoostModel

// What must never happen, and what must happen in the end.
extension ClusterSimulation {
    private static let inspectionInterval = 250 * millisecond
    /// Longer than the core waits, by what a supervisor that has just thawed needs to see it.
    private static let standstillMax = 12 * second
    /// From the end of a lease until the gate is closed.
    private static let closingMax = 500 * millisecond

    /// It can never be lost from now on.
    func expose(epoch: UInt64, end: UInt64) {
        if let index = exposed.firstIndex(where: { $0.epoch == epoch }) {
            guard end > exposed[index].end else { return }
            exposed[index].end = end
        } else {
            exposed.append(.init(epoch: epoch, end: end))
        }
        exposedAt[epoch] = time
    }

    func ruleChanged(by member: Int) {
        guard let rule = store.view.rule else { return }
        note("store \(store.view.revision): \(members[member].name) changed the rule to \(rule)")
        if rule.recruitment == nil { settledRules.append(rule) }
        noteDeparted()
        noteForced(rule)
        // Whatever a store that has gone back says then: nobody may open or confirm by it.
        guard !storeWentBack else { return }
        guard rule.recruitment == nil, let newest = store.reigns.last?.reign, newest.epoch == rule.epoch else { return }
        let epochs = store.reigns.map(\.reign.epoch)
        if Set(epochs).count != epochs.count { fail("two leaders in one epoch: \(store.reigns)") }
        if let piece = lacking(rule) {
            fail(
                "epoch \(rule.epoch) of \(rule.leader) begins without \(piece.end) of epoch \(piece.epoch), "
                    + "which was confirmed or shown; history \(rule.history)")
        }
    }

    /// As a member's host judges what it makes of the rule. One that is no member tries it, and one whose rule is of another
    /// store; the others never do what is not theirs.
    func checkLaw(_ request: SimulatedStore.Request, by member: Int) -> Bool {
        guard breakage == nil, case .rule(let rule, let expected, _) = request, expected == store.view.ruleRevision
        else {
            return true
        }
        let name = members[member].name
        do throws(UnlawfulChange) {
            if let former = store.view.rule {
                try rule.check(asChangeOf: former, by: name)
            } else {
                try rule.check(asFirstOf: store.view.members, by: name)
            }
            return true
        } catch {
            let isMember = store.view.rule?.members.contains(name) ?? true
            if isMember, !storeWentBack { fail("\(name) writes what its host refuses: \(error)") }
            return false
        }
    }

    /// A request may have been on its way since the pause was over on the member's own clock, which may have jumped.
    func checkPause(_ former: ClusterRule?, by member: Int) {
        guard let former, former.recruitment == nil, let pause = former.pause, !storeWentBack,
            let call = store.view.rule?.recruitment, call.reason != .switchover
        else { return }
        // It has promised that before it knew of the pause.
        guard members[member].durable.promised < call.epoch else { return }
        let ahead = Int64((members[member].clockAhead - pausedAhead[member]) / Self.millisecond)
        guard !pause.isOver(at: wallClock + ahead) else { return }
        fail("\(members[member].name) calls for epoch \(call.epoch) in a pause")
    }

    /// Who leads is all that a change of the leader changes, and promises that are on disk are what it rests on.
    func checkDecision(_ former: ClusterRule?) {
        guard let former, let rule = store.view.rule, rule.epoch > former.epoch, !storeWentBack else { return }
        var change = former.change
        change?.isPrepared = nil
        if rule.members != former.members || rule.confirmations != former.confirmations || rule.change != change
            || rule.changes != former.changes || rule.pause != former.pause || rule.restart != former.restart
            || rule.majority != former.majority
        {
            fail("\(rule.leader) was chosen by a rule that is no more: \(former), then \(rule)")
        }
        guard scenario.checksReports else { return }
        let promised = members.filter { former.members.contains($0.name) && $0.everPromised >= rule.epoch }.map(\.name)
        let standbys = promised.count { $0 != former.leader }
        let isMajority = former.majority != true || promised.count * 2 > former.members.count
        let isMet =
            promised.contains(former.leader) && former.majority != true
            || (former.majority == true ? promised.count : standbys)
                >= max(former.members.count - former.confirmations, 1)
        if former.majority == true, decisions[rule.epoch]?.history.last != rule.history.last {
            fail("\(rule.leader) was chosen for epoch \(rule.epoch), and not by votes: \(rule)")
        }
        if !isMet || !isMajority {
            fail("\(rule.leader) was chosen for epoch \(rule.epoch), which only \(promised) have promised")
        }
    }

    /// Where more than half decide, no members are two steps from what more than half of them know.
    func checkStep(after former: ClusterRule?) {
        guard let former, let rule = store.view.rule, !storeWentBack else { return }
        if rule.changes != former.changes || rule.majority != former.majority { steppedAt = time }
        guard former.majority == true, rule.changes != former.changes else { return }
        for names in [former.members, rule.members] {
            let knowing = members.count { names.contains($0.name) && $0.everWritten >= former.changes ?? 0 }
            if knowing * 2 <= names.count {
                fail("the members become \(rule.members), and \(knowing) of \(names) have written down the step before")
            }
        }
    }

    /// What was confirmed or shown, and is not in that rule's history.
    func lacking(_ rule: ClusterRule) -> SimulatedLog.Piece? { exposed.first { !Self.keeps(rule.history, $0) } }

    /// The history leads past the end of that piece.
    static func keeps(_ history: [Reign], _ piece: SimulatedLog.Piece) -> Bool {
        guard let index = history.firstIndex(where: { $0.epoch.number == piece.epoch }) else { return false }
        return index + 1 == history.count || history[index + 1].begin.offset >= piece.end
    }

    func checkConfirmation(by leader: Int, epoch: UInt64, end: UInt64, needed: Int, acknowledgedAt: Int) {
        checkConfirmsForced(leader)
        if isGivenUp(leader) { return }
        if storeWentBack { return checkConfirmationAfterReversal(by: leader, end: end, needed: needed, acknowledgedAt) }
        guard let rule = current, rule.epoch.number > epoch else {
            return checkHolders(by: leader, epoch: epoch, end: end)
        }
        let name = members[leader].name
        // With one acknowledgement needed, that one must be older than the newer leader. With more, the last may come
        // later from a member that was not asked; then the first must have counted, as the next check shows.
        if needed == 1,
            let newer = store.reigns.first(where: { $0.reign.epoch.number > epoch && $0.at < acknowledgedAt })
        {
            fail("\(name) confirmed \(end) in epoch \(epoch) after \(newer.reign.leader) was chosen for a newer one")
        }
        if !Self.keeps(rule.history, .init(epoch: epoch, end: end)) {
            fail("\(name) confirmed \(end) in epoch \(epoch), which is not in the history of \(rule.leader)")
        }
    }

    /// Whoever decides who leads next by the rule that the store has meets one that has it.
    private func checkHolders(by leader: Int, epoch: UInt64, end: UInt64) {
        guard let rule = current, rule.epoch.number == epoch else { return }
        let peers = members[leader].postgres.peers
        let holders = present.filter { $0 != leader && peers[$0].flushed >= end }
        if holders.count < rule.confirmations {
            fail(
                "\(members[leader].name) confirmed \(end) in epoch \(epoch), and \(holders.count) others of "
                    + "\(rule.members) have it instead of \(rule.confirmations)")
        }
    }

    /// Epochs say nothing any more; but whoever confirms has what others have confirmed before. With more than one
    /// acknowledgement needed, the last may come late to a leader that has been replaced since.
    private func checkConfirmationAfterReversal(by leader: Int, end: UInt64, needed: Int, _ acknowledgedAt: Int) {
        guard needed == 1 else { return }
        for piece in exposed where (exposedAt[piece.epoch] ?? 0) < acknowledgedAt {
            if !members[leader].postgres.log.contains(epoch: piece.epoch, end: piece.end) {
                fail(
                    "\(members[leader].name) confirmed \(end) without \(piece.end) of epoch \(piece.epoch): "
                        + "\(members[leader].postgres.log)")
            }
        }
    }

    func checkOpening(_ member: Int) {
        if isGivenUp(member) { return checkServesForced(member) }
        let postgres = members[member].postgres
        // A supervisor that just thawed may open by an old sample; the next event tells it.
        guard let epoch = postgres.primaryEpoch, epoch == current?.epoch.number else { return }
        for piece in exposed where !postgres.log.contains(epoch: piece.epoch, end: piece.end) {
            fail("\(members[member].name) opens without \(piece.end) of epoch \(piece.epoch): \(postgres.log)")
        }
        var shown = postgres.log
        shown.truncate(to: postgres.visibleFrom)
        for piece in shown.pieces { expose(epoch: piece.epoch, end: piece.end) }
    }

    func checkSteps(_ member: Int) {
        guard let taken = members[member].core?.member.steps else { return }
        for step in taken where steps.insert(step).inserted && !step.isLegal {
            fail("\(members[member].name) goes from \(step.from) to \(step.to), which is in no table")
        }
    }

    func checkBeginning(_ operation: PostgresOperation, on member: Int) {
        switch operation {
        case .promote(let epoch, _, _, _), .startPrimary(let epoch, _, _, _):
            checkServesForced(member)
            let reigns = store.reigns.map(\.reign).filter { $0.epoch == epoch }
            let beside = decisions[epoch].flatMap { isBesideForced($0) ? $0.history.last : nil }
            let reign = storeWentBack ? reigns.first { $0.leader == members[member].name } : reigns.first ?? beside
            if reign?.leader != members[member].name {
                fail(
                    "\(members[member].name) leads epoch \(epoch), which the store gave to \(String(describing: reign))"
                )
            }
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .confirmBy,
            .checkpoint, .stop:
            break
        }
    }

    /// Without faults, a standby stops its Postgres in the middle of following for this alone, and reads its log before it
    /// follows again.
    func noteRestarting() {
        let phases: [FailoverStatus.Phase] = [.following, .severing, .reading]
        let restarting = members.filter { member in
            member.isMade && member.postgres.mode == .stopped
                && (member.core.map { phases.contains($0.member.status.phase) } ?? false)
        }
        restartingAtOnce = max(restartingAtOnce, restarting.count)
    }

    func checkStart(_ member: Int) {
        if !members[member].postgres.exists || members[member].postgres.isDamaged {
            fail("\(members[member].name) starts Postgres on a folder that is not whole")
        }
    }

    func check(_ report: MemberReport, of member: Int) {
        switch members[member].postgres.mode {
        case .primary, .closing:
            if report.state == .stopped { fail("\(report.member) says that it has stopped, but its Postgres runs") }
        case .stopped, .detached, .following, .stray: break
        }
        guard scenario.checksReports, report.chain != nil, let position = report.position else { return }
        let all = members[member].postgres.log
        let log = all.honest
        // Nobody can have seen yet what is being written at this moment.
        // Without a Postgres that runs nobody can lead, whatever the log.
        let mustBeAble = all == log && report.state == .waiting
        if members[member].postgres.mode != .stray, report.cannotLead == true ? mustBeAble : all != log {
            fail("\(report.member) says whether it can lead, wrongly: \(all)")
        }
        if position != Position(epoch: Epoch(log.lastEpoch), end: LSN(log.end)) {
            fail("\(report.member) says it is at \(position), but its log is \(log)")
        }
    }

    /// A member gives up what it had: before that is on its disk, as from then on it counts for nothing.
    func checkGivingUp(_ member: Int, _ next: DurableState) {
        guard members[member].durable.data == .usable, present.contains(member) else { return }
        let name = members[member].name
        switch next.data {
        case .usable, .empty, .spoiled: break
        case .exchanging:
            let copy = members[member].postgres.copy
            for piece in exposed where copy?.contains(epoch: piece.epoch, end: piece.end) != true {
                if members[member].postgres.log.contains(epoch: piece.epoch, end: piece.end) {
                    fail("\(name) exchanges its data for a copy without \(piece.end) of epoch \(piece.epoch)")
                }
            }
        // Without its leader nothing is touched.
        case .rewinding where members.contains { $0.postgres.mode == .primary(epoch: next.promised.number) }:
            checkOthersHave(1, besides: member, "rewinds its data")
        case .rewinding: break
        case .cloning:
            if present.count < 3 { fail("\(name) removes its data, and there is no third") }
            checkOthersHave(present.count / 2 + 1, besides: member, "removes its data")
        }
    }

    /// All that was confirmed or shown.
    private func checkOthersHave(_ count: Int, besides member: Int, _ deed: String) {
        let others = present.filter {
            $0 != member && (members[$0].durable.data == .usable || members[$0].durable.data == .exchanging)
        }
        for piece in exposed {
            let having = others.filter { place in
                let log = members[place].durable.data == .exchanging ? members[place].postgres.copy : nil
                return (log ?? members[place].postgres.log).contains(epoch: piece.epoch, end: piece.end)
            }
            if having.count < count {
                fail(
                    "\(members[member].name) \(deed), and only \(having.count) others have \(piece.end) of epoch "
                        + "\(piece.epoch)")
            }
        }
    }

    /// A standby that is cut off must not go on showing what it has.
    func checkStandstill(_ member: Int) {
        let isServing =
            members[member].gateIsOpen && members[member].postgres.stream == nil
            && time >= max(members[member].supervisorFrozenUntil, members[member].frozenUntil)
        guard isServing, case .following = members[member].postgres.mode else {
            members[member].standsStillSince = nil
            return
        }
        let since = members[member].standsStillSince ?? time
        members[member].standsStillSince = since
        if time - since > Self.standstillMax {
            fail("\(members[member].name) lets readers in, and has had no stream for long")
        }
    }

    /// Whoever renews its lease, a leader that was replaced closes when as much time has passed since then, if it can do
    /// anything at all.
    func checkReplaced(_ member: Int) {
        guard !storeWentBack, members[member].gateIsOpen, let epoch = members[member].postgres.primaryEpoch,
            time >= max(members[member].supervisorFrozenUntil, members[member].frozenUntil),
            members[member].deferred.isEmpty,
            let next = store.reigns.first(where: { $0.reign.epoch.number > epoch })
        else { return }
        let since = time - next.at
        guard since > Int(timings.lease.milliseconds) * Self.millisecond + Self.closingMax else { return }
        if isGivenUp(member), !hasSeenForced(member), mayBeVouched(member) { return }
        fail(
            "\(members[member].name) is open in epoch \(epoch), \(since / Self.millisecond) ms after "
                + "\(next.reign.leader) was chosen for a newer one")
    }

    /// Where more than half decide, nobody takes a store that is late for one that has gone back.
    func checkQuarantine(_ member: Int) {
        guard !storeWentBack, store.view.rule?.majority == true, !isGivenUp(member),
            let status = members[member].core?.member.status, status.phase == .quarantined, let detail = status.detail,
            detail.hasPrefix("the store has gone back")
        else { return }
        fail("\(members[member].name) says that the store has gone back: \(detail)")
    }

    /// Where more than half decide, a leader that has not heard enough others for as long as a lease is open no more.
    func checkVouched(_ member: Int) {
        guard members[member].gateIsOpen, let epoch = members[member].postgres.primaryEpoch,
            time >= max(members[member].supervisorFrozenUntil, members[member].frozenUntil),
            members[member].deferred.isEmpty, let rule = current, rule.majority == true, rule.members.count > 1,
            rule.epoch.number == epoch, rule.recruitment == nil, rule.change?.current == nil,
            !storeWentBack
        else { return }
        let spoke = present.compactMap { members[member].words[$0]?[rule.epoch] }.sorted(by: >)
        let needed = ClusterRule.confirmations(of: rule.members.count)
        // Until the last step it was the word of the members of before, or the store's, and a lease may be of just then.
        let since = time - max(spoke.count >= needed ? spoke[needed - 1] : 0, steppedAt)
        guard since > Int(timings.lease.milliseconds) * Self.millisecond + Self.closingMax else { return }
        fail("\(members[member].name) is open, and has not heard \(needed) others for \(since / Self.millisecond) ms")
    }

    /// A standby that was promoted by hand is noticed within a few samples.
    func checkStray(_ member: Int) {
        guard members[member].postgres.mode == .stray, members[member].gateIsOpen,
            time >= members[member].supervisorFrozenUntil
        else {
            members[member].straySamples = 0
            return
        }
        members[member].straySamples += 1
        if members[member].straySamples >= 3 {
            fail("\(members[member].name) lets readers in, but was promoted by hand")
        }
    }

    // MARK: - In the end

    func inspect() {
        if !isHealed {
            heal()
        } else {
            let leader = openLeader()
            if leader != nil, primaryAt == nil {
                primaryAt = time
                note("open")
            }
            if let leader, isWhole(leader), store.view.rule?.change?.current == nil, haveGivenUpLeft {
                wholeAt = time
                for piece in exposed where !members[leader].postgres.log.contains(epoch: piece.epoch, end: piece.end) {
                    fail("at the end \(piece.end) of epoch \(piece.epoch) is missing: \(members[leader].postgres.log)")
                }
                checkGivenUpAtTheEnd()
                return
            }
            if primaryAt == nil, time - healedAt > scenario.primaryWithinSeconds * Self.second {
                return fail("no open primary \(scenario.primaryWithinSeconds) s after healing: \(statuses)")
            }
            if time - healedAt > scenario.wholeWithinSeconds * Self.second {
                return fail("not whole \(scenario.wholeWithinSeconds) s after healing: \(statuses)")
            }
        }
        schedule(.inspect, after: Self.inspectionInterval)
    }

    private var statuses: String {
        members.map { member in
            let status = member.core?.member.status
            let words = status.map { "\($0.phase) \($0.detail ?? "")" } ?? "down"
            return
                "\(member.name): \(words), \(member.durable.data) \(member.postgres.mode) log \(member.postgres.log)"
        }.joined(separator: "; ") + "; rule \(String(describing: store.view.rule))"
    }

    private func openLeader() -> Int? {
        guard let rule = store.view.rule, rule.recruitment == nil, let beat = store.view.heartbeat,
            beat.epoch == rule.epoch, beat.isOpen,
            let leader = members.firstIndex(where: { $0.name == rule.leader }), members[leader].gateIsOpen,
            members[leader].postgres.mode == .primary(epoch: rule.epoch.number)
        else { return nil }
        return leader
    }

    /// All that there are stream from one who is open, and could lead.
    var isFollowed: Bool {
        guard let leader = openLeader() else { return false }
        return present.allSatisfy { member in
            guard member != leader else { return true }
            return members[member].core != nil && members[member].frozenUntil <= time
                && members[member].durable.data == .usable && members[member].postgres.stream?.leader == leader
        }
    }

    private func isWhole(_ leader: Int) -> Bool {
        let log = members[leader].postgres.log
        for member in present where member != leader {
            guard members[member].durable.data == .usable, members[member].postgres.stream?.leader == leader,
                members[member].postgres.log == log
            else { return false }
        }
        return true
    }
}
