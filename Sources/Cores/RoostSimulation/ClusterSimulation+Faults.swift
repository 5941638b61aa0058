internal import RoostFailover
import RoostModel

// What befalls the cluster, and how it ends.
extension ClusterSimulation {
    enum Repair {
        case join([(Int, Int)])
        case letBeats([(Int, Int)])
        case quicken(Int)
    }

    func strike() {
        guard !isHealed else { return }
        schedule(.fault, after: random.pick(100, pace) * Self.millisecond)
        guard !faults.isEmpty else { return }
        let fault = random.choose(faults)
        // Mostly whoever leads: that is where it hurts.
        var member = random.choose(made)
        if let leader = store.view.rule?.leader, random.chance(50) {
            member = members.firstIndex { $0.name == leader } ?? member
        }
        apply(fault, to: member, for: random.pick(500, 12_000) * Self.millisecond)
    }

    func play(_ index: Int) {
        let scripted = scenario.script[index]
        guard !scripted.isOnceWhole || isFollowed && played.map({ time >= $0.until }) ?? true else {
            if !isHealed { schedule(.scripted(index), after: random.pick(50, 300) * Self.millisecond) }
            return
        }
        let leader =
            members.indices.first {
                members[$0].isMade && (members[$0].name == store.view.rule?.leader) != scripted.isOnStandby
            } ?? 0
        played = (index, time + scripted.forSeconds * Self.second)
        apply(scripted.fault, to: leader, for: scripted.forSeconds * Self.second)
    }

    func apply(_ fault: ClusterScenario.Fault, to member: Int, for long: Int) {
        note("fault: \(fault.rawValue), \(members[member].name)")
        switch fault {
        case .crashMember: crash(member, for: long)
        case .crashPostgres: crashPostgres(member)
        case .freezeSupervisor:
            members[member].supervisorFrozenUntil = time + long
            schedule(.thaw(member), after: long)
        case .freezeMember:
            members[member].frozenUntil = time + long
            schedule(.thaw(member), after: long)
        case .cutOneWay, .cutBothWays, .isolate: cutWays(fault, member, for: long)
        case .loseBeats: cutBeats(of: member, for: long)
        case .loseCalls: callsLostUntil = time + long
        case .crashWhenCalled:
            for every in made where random.chance(50) {
                members[every].actionsToLiveOnceCalled = random.pick(0, 10)
            }
        case .slowMember:
            members[member].slowness = random.pick(3, 20)
            schedule(.repair(.quicken(member)), after: long)
        case .load: load(for: long)
        case .volumeHangs: hangVolume(of: member, for: long)
        case .hangPostgres: hangPostgres(of: member)
        case .storeOutage: storeAwayUntil = time + (random.chance(50) ? min(long, 3 * Self.second) : long)
        case .storeUnclear: storeUnclearUntil = time + long
        case .staleWatch: members[member].watchDelayedUntil = time + long
        case .clockJump:
            members[member].clockAhead += random.pick(500, 30_000) * Self.millisecond
            tell(member, .tick)
        case .loseDisk: loseDisk(member)
        case .powerLoss:
            for every in members.indices where members[every].isMade {
                crash(every, for: random.pick(200, 6000) * Self.millisecond)
            }
        case .crashBetweenActions: members[member].actionsToLive = random.pick(0, 12)
        case .operationFails: failingOperationsUntil = time + long
        case .switchover:
            store.askForSwitchover(to: random.chance(50) ? members[member].name : nil)
            publish()
        case .restartMember: tell(member, .terminate)
        case .promoteByHand: promoteByHand(member)
        case .fullVolume:
            members[member].fullUntil = time + long
            crashPostgres(member)
        case .volumeFails: tell(member, .volumeFailed("the volume takes no writes"))
        case .noRoom: members[member].noRoomUntil = time + long * 3
        case .fallBehind: fallBehind(member)
        case .storeGoesBack: storeGoesBack()
        case .tornLog: tearLog(of: member)
        case .lostTail: loseTail(of: member)
        case .slowRecovery:
            members[member].recoversUntil = time + long
            crashPostgres(member)
        case .pause: pause(for: long)
        case .addMember, .removeMember, .replaceMember: askForChange(fault, of: member)
        case .stallAtChange: members[member].stallsAtChange = long
        case .cancelChange: cancelChange()
        case .restartAll, .restartInOffice: askForRestart(handsOver: fault == .restartAll, for: long)
        case .resume:
            store.changeRule { $0.pause = nil }
            publish()
        }
    }

    private func cutBeats(of member: Int, for long: Int) {
        let isOneWay = random.chance(30)
        let isToOthers = random.chance(50)
        let ways = ways(of: member).filter {
            $0.0 != storePlace && $0.1 != storePlace && (!isOneWay || ($0.0 == member) == isToOthers)
        }
        for (from, to) in ways { beatCuts[from][to] += 1 }
        schedule(.repair(.letBeats(ways)), after: long)
    }

    func crash(_ member: Int, for duration: Int) {
        guard members[member].core != nil else { return }
        killMachine(member)
        schedule(.start(member), after: duration)
    }

    private func cutWays(_ fault: ClusterScenario.Fault, _ member: Int, for duration: Int) {
        let other = random.choose(made.filter { $0 != member } + [storePlace])
        var ways = [(member, other)]
        if fault != .cutOneWay { ways.append((other, member)) }
        if fault == .isolate { ways = self.ways(of: member) }
        if fault == .cutOneWay, random.chance(50) { ways = [(other, member)] }
        for (from, to) in ways { cuts[from][to] += 1 }
        schedule(.repair(.join(ways)), after: duration)
    }

    private func ways(of member: Int) -> [(Int, Int)] {
        (0...storePlace).filter { $0 != member }.flatMap { [(member, $0), ($0, member)] }
    }

    func mend(_ repair: Repair) {
        switch repair {
        case .join(let ways): for (from, to) in ways where cuts[from][to] > 0 { cuts[from][to] -= 1 }
        case .letBeats(let ways): for (from, to) in ways where beatCuts[from][to] > 0 { beatCuts[from][to] -= 1 }
        case .quicken(let member): members[member].slowness = 1
        }
    }

    /// Not more disks than commits have copies to spare, and not while another member has no data. One that makes a copy
    /// beside its data has.
    private func loseDisk(_ member: Int) {
        guard disksToLose > 0, othersAreWhole(besides: member), present.count > 1 else { return }
        disksToLose -= 1
        crash(member, for: random.pick(500, 5000) * Self.millisecond)
        guard members[member].core == nil else { return }
        emptyDisk(of: member)
    }

    func emptyDisk(of member: Int) {
        note("\(members[member].name) loses its disk")
        members[member].durable = DurableState()
        members[member].postgres.replace(SimulatedLog(), members: members.count)
        members[member].postgres.exists = false
        members[member].postgres.copy = nil
    }

    private func othersAreWhole(besides member: Int) -> Bool {
        present.allSatisfy { other in
            let postgres = members[other].postgres
            return other == member
                || (members[other].durable.data == .usable && postgres.log == postgres.log.honest && !postgres.isTorn
                    && !postgres.isShort)
        }
    }

    /// As bad as a lost disk, but whoever sees what is left may believe it. Not with two members: the other's data counts
    /// for nothing from the moment in which it makes ready to be taken back, to a leader that will not come.
    private func tearLog(of member: Int) {
        guard let rule = store.view.rule, let reign = rule.history.last, reign.leader == members[member].name,
            reign.begin.offset > 1, members[member].durable.data == .usable,
            members[member].durable.led == reign.epoch, members[member].postgres.log.end >= reign.begin.offset,
            disksToLose > 0, othersAreWhole(besides: member), present.count > 2
        else { return }
        crash(member, for: random.pick(200, 5000) * Self.millisecond)
        guard members[member].core == nil else { return }
        disksToLose -= 1
        let lost = UInt64(random.pick(1, 20))
        members[member].postgres.log.truncate(to: reign.begin.offset - min(lost, reign.begin.offset - 1))
        members[member].postgres.isTorn = true
        note("\(members[member].name) has lost part of its log: \(members[member].postgres.log)")
    }

    /// Its Postgres starts with what is left. All others have more: where one had less, and the rest were away, nobody
    /// could know that something is missing.
    private func loseTail(of member: Int) {
        guard let reign = store.view.rule?.history.last, reign.leader == members[member].name,
            members[member].durable.data == .usable, members[member].durable.led == reign.epoch,
            members[member].postgres.log.lastEpoch == reign.epoch.number, disksToLose > 0,
            othersAreWhole(besides: member), present.count > 1
        else { return }
        // Nor where none of them can start its Postgres to say so.
        guard present.allSatisfy({ time >= members[$0].fullUntil }) else { return }
        let others = present.filter { $0 != member }.map { members[$0].postgres.log }
        let least = others.map { $0.lastEpoch == reign.epoch.number ? $0.end : 0 }.min() ?? 0
        guard least > reign.begin.offset + 1 else { return }
        crash(member, for: random.pick(200, 5000) * Self.millisecond)
        guard members[member].core == nil else { return }
        disksToLose -= 1
        let left = least - UInt64(random.pick(1, Int(min(least - reign.begin.offset - 1, 100))))
        members[member].postgres.log.truncate(to: left)
        members[member].postgres.isShort = true
        note("\(members[member].name) has lost the end of its log: \(members[member].postgres.log)")
    }

    /// As the platform does: not while members are being called.
    private func pause(for long: Int) {
        guard let rule = store.view.rule, rule.recruitment == nil else { return }
        let wish = WishTerm(beganAt: wallClock, length: .microseconds(long))
        pausedAhead = members.map(\.clockAhead)
        store.changeRule { $0.pause = wish }
        publish()
    }

    private func askForRestart(handsOver: Bool, for long: Int) {
        tokens += 1
        let all = present.map { members[$0].name }
        let standbys = all.filter { $0 != store.view.rule?.leader }
        let wish = RestartRequest(
            id: "restart \(tokens)", members: standbys + all.filter { !standbys.contains($0) },
            handsOver: handsOver, term: WishTerm(beganAt: wallClock, length: .microseconds(long * 3)))
        store.changeRule { $0.restart = wish }
        publish()
    }

    private func storeGoesBack() {
        guard store.goBack(countsOn: random.chance(50), &random) else { return }
        storeWentBack = true
        note("the store goes back to revision \(store.view.revision): \(String(describing: store.view.rule))")
        publish()
    }

    /// What whoever runs the cluster does after a store has gone back: puts the rule back that has all that was confirmed,
    /// and calls everybody to a new epoch. A member that took part in another history gets an empty disk.
    private func putStoreRight() {
        guard storeWentBack, let present = store.view.rule else { return }
        let isRight =
            lacking(present) == nil
            && members.allSatisfy {
                $0.durable.reignLost(by: present) == nil && $0.durable.promised <= present.called
                    && $0.durable.membership?.changes ?? 0 <= present.changes ?? 0
            }
        if isRight { return }
        let accounts = members.map { $0.account(of: present) }
        // Some may not be heard: what follows from fewer loses nothing either.
        recover(present, by: accounts.filter { _ in random.chance(75) })
        let recovery = recover(present, by: accounts)
        // What contradicts itself is for whoever knows more than the members say: the one that agrees with the most of
        // them, and of those the last.
        let best =
            recovery
            ?? settledRules.filter { lacking($0) == nil }.max {
                (-strangers(to: $0).count, $0.epoch, $0.changes ?? 0)
                    < (-strangers(to: $1).count, $1.epoch, $1.changes ?? 0)
            }
        guard var right = best else { return fail("no rule that the store ever had has all that was confirmed") }
        let promised = members.map(\.durable.promised).max() ?? right.epoch
        let called = max(promised, settledRules.map(\.called).max() ?? promised, present.called)
        right.recruitment = Recruitment(epoch: called.next, proposer: right.leader, reason: .leaderSilent)
        note("somebody puts the rule right: \(right)")
        store.restore(right)
        for member in strangers(to: right) {
            killMachine(member)
            emptyDisk(of: member)
        }
        publish()
    }

    /// The rule that follows from what these members say; nil when nothing does.
    @discardableResult private func recover(_ present: ClusterRule, by accounts: [MemberReport]) -> ClusterRule? {
        do throws(StoreRecovery.Obstacle) {
            let recovery = try StoreRecovery(of: present, accounts, membersMayDiffer: true)
            recoveries.offered += 1
            if let piece = lacking(recovery.rule) {
                fail("put right without \(piece.end) of epoch \(piece.epoch), which was confirmed: \(recovery)")
            }
            return recovery.rule
        } catch {
            recoveries.refused += 1
            note("not put right by what members say: \(error)")
            return nil
        }
    }

    private func strangers(to rule: ClusterRule) -> [Int] {
        members.indices.filter { members[$0].durable.reignLost(by: rule) != nil }
    }

    func heal() {
        note("healed")
        isHealed = true
        healedAt = time
        storeAwayUntil = 0
        storeUnclearUntil = 0
        failingOperationsUntil = 0
        loadUntil = 0
        callsLostUntil = 0
        forcing.areDead = []
        putStoreRight()
        // Whoever has paused it looks whether all is well.
        store.changeRule { $0.pause = nil }
        publish()
        for from in cuts.indices {
            for to in cuts.indices {
                cuts[from][to] = 0
                beatCuts[from][to] = 0
            }
        }
        for member in members.indices {
            members[member].slowness = 1
            members[member].fullUntil = 0
            members[member].noRoomUntil = 0
            members[member].volumeHangsUntil = 0
            members[member].recoversUntil = 0
            members[member].watchDelayedUntil = 0
            members[member].actionsToLive = nil
            members[member].actionsToLiveOnceCalled = nil
            members[member].stallsAtChange = 0
            members[member].supervisorFrozenUntil = 0
            members[member].frozenUntil = 0
            if members[member].core == nil {
                schedule(.start(member), after: Self.second)
            } else {
                thaw(member)
            }
        }
    }
}

extension ClusterRule {
    /// What it calls its members to.
    fileprivate var called: Epoch { recruitment?.epoch ?? epoch }
}
