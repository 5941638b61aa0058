internal import RoostFailover
import RoostModel

// What roost-pg's shell does for its core: carries out actions, hands over events.
extension ClusterSimulation {
    func startMachine(_ member: Int) {
        guard members[member].core == nil, members[member].isMade else { return }
        guard !forcing.areDead.contains(member) else { return }
        members[member].life += 1
        members[member].startedAt = time
        bringUpToDate(member)
        members[member].core = SimulatedCore(
            FailoverMember(
                name: members[member].name, state: members[member].durable, timings: timings,
                skills: MemberSkill.known.filter { $0 != .majority || members[member].knowsMajority },
                breakage: breakage, now: moment(of: member)))
        members[member].wakeAt = .max
        members[member].lastOperation = .none
        members[member].beatLife = random.next()
        members[member].beatsSent = 0
        members[member].beatTimes = BeatTimes(of: members[member].beatLife)
        members[member].acquaintances = members.map { _ in BeatAcquaintance(challenge: random.next()) }
        note("\(members[member].name) starts: \(members[member].durable) log \(members[member].postgres.log)")
        let life = members[member].life
        tell(member, .tick)
        schedule(.observe(member, life: life), after: random.pick(50, 250) * Self.millisecond)
        schedule(.connect(member, life: life), after: random.pick(50, 250) * Self.millisecond)
    }

    /// Whoever comes to members that decide by more than half has the program that they have. And one of before may have been
    /// given a newer one each time that its machine starts anew.
    private func bringUpToDate(_ member: Int) {
        let isOfBefore = !members[member].hostTakesWord
        guard store.view.rule?.majority == true || isOfBefore && members[member].life > 1 && random.chance(50) else {
            return
        }
        members[member].knowsBeats = true
        members[member].knowsCalls = true
        members[member].saysHeard = true
        members[member].hostTakesWord = true
        members[member].knowsMajority = knowsMajority
    }

    /// The machine is gone, and everything that was not on its disk.
    func killMachine(_ member: Int) {
        guard members[member].core != nil else { return }
        note("\(members[member].name) dies")
        members[member].core = nil
        members[member].life += 1
        members[member].operation = nil
        members[member].inbox.removeAll()
        members[member].deferred.removeAll()
        members[member].gateIsOpen = false
        members[member].supervisorFrozenUntil = 0
        members[member].frozenUntil = 0
        members[member].watchIsPending = false
        members[member].watchIsDirty = false
        members[member].actionsToLive = nil
        members[member].actionsToLiveOnceCalled = nil
        stopPostgres(member)
    }

    func wake(_ member: Int, _ life: Int) {
        guard members[member].life == life, let wakeAt = members[member].core?.member.wakeAt else { return }
        members[member].wakeAt = .max
        if wakeAt <= moment(of: member) {
            tell(member, .tick)
        } else {
            planWake(member)
        }
    }

    private func planWake(_ member: Int) {
        guard let wakeAt = members[member].core?.member.wakeAt else { return }
        let wait = wakeAt - moment(of: member)
        let microseconds =
            Int(wait.components.seconds) * Self.second + Int(wait.components.attoseconds / 1_000_000_000_000)
        let at = time + max(microseconds, 1) + 1
        guard at < members[member].wakeAt else { return }
        members[member].wakeAt = at
        schedule(.wake(member, life: members[member].life), after: at - time)
    }

    /// Hands an event to the core, or puts it in the inbox of one that stands still.
    func tell(_ member: Int, _ event: FailoverEvent) {
        guard members[member].core != nil else { return }
        if time < max(members[member].supervisorFrozenUntil, members[member].frozenUntil)
            || !members[member].deferred.isEmpty
        {
            members[member].inbox.append(event)
            return
        }
        let now = moment(of: member)
        var event = event
        if case .viewed(var view, let source) = event {
            view.wallClock = wallClock
            view.hostTakesWord = members[member].hostTakesWord
            event = .viewed(view, by: source)
            noteGivenUp(member, view.rule)
        }
        if case .readFailed = event, members[member].hostTakesWord, let last = members[member].hostView {
            tell(member, .viewed(last, by: .kept))
        }
        guard let actions = members[member].core?.member.receive(event, now: now) else { return }
        if keepsTrace { traceCore(member, event, actions.filter(\.isWorthALine)) }
        checkSteps(member)
        countDown(member, event, actions)
        carryOut(actions[...], for: member)
    }

    private func carryOut(_ actions: ArraySlice<FailoverAction>, for member: Int) {
        for (index, action) in zip(actions.indices, actions) {
            if waitsForDisk(member, actions[index...]) { return }
            if let left = members[member].actionsToLive {
                if left == 0 {
                    note("\(members[member].name) dies between two actions")
                    killMachine(member)
                    schedule(.start(member), after: random.pick(200, 4000) * Self.millisecond)
                    return
                }
                members[member].actionsToLive = left - 1
            }
            carryOut(action, for: member)
            if members[member].core == nil { return }
        }
        planWake(member)
    }

    private func traceCore(_ member: Int, _ event: FailoverEvent, _ actions: [FailoverAction]) {
        guard let core = members[member].core?.member else { return }
        switch event {
        case .heard where actions.isEmpty, .tick where actions.isEmpty, .observed where actions.isEmpty,
            .viewed where actions.isEmpty,
            .heartbeatAnswered(_, .applied), .reportAnswered(_, .applied):
            return
        case .tick, .viewed, .readFailed, .ruleAnswered, .heartbeatAnswered, .reportAnswered, .operationEnded,
            .observed, .postgresExited, .cannotFollow, .leaderLostLog, .gateAnswered, .volumeHangs, .volumeFailed,
            .terminate, .heard:
            break
        }
        var told = "\(event)"
        if case .viewed(let view, let source) = event {
            told =
                "\(source) \(view.revision) rule \(view.rule.map { "\($0)" } ?? "none") beat \(String(describing: view.heartbeat))"
        }
        note("\(core.name) \(core.status.phase) <- \(told.prefix(700))")
        if case .operationEnded = event, let doubted = core.status.doubtedSilence {
            note("\(core.name)     left late: \(doubted.doubt.words), \(doubted.lasted.milliseconds) ms")
        }
        for action in actions { note("\(core.name)     -> \("\(action)".prefix(400))") }
    }

    private func carryOut(_ action: FailoverAction, for member: Int) {
        switch action {
        case .save(let state):
            checkGivingUp(member, state)
            noteVote(state, of: member)
            members[member].durable = state
            members[member].everPromised = max(members[member].everPromised, state.promised)
            members[member].everWritten = max(members[member].everWritten, state.membership?.changes ?? 0)
        case .read(let number): send(.read(number), from: member)
        case .changeRule(let rule, let expected, let number):
            send(.rule(rule, expected: expected, number), from: member)
        case .heartbeat(let heartbeat, let revision): send(.heartbeat(heartbeat, ruleRevision: revision), from: member)
        case .holdLease: break
        case .report(let report):
            check(report, of: member)
            send(.report(report), from: member)
        case .postgres(let operation, let id): begin(operation, id, on: member)
        case .setGate(let isOpen):
            members[member].gateIsOpen = isOpen
            if isOpen { checkOpening(member) }
            schedule(
                .toCore(member, life: members[member].life, .gateAnswered(isOpen: isOpen, failure: nil)),
                after: random.pick(1, 60) * Self.millisecond)
        case .beat(let beat): sendBeat(beat, from: member)
        case .exit:
            killMachine(member)
            schedule(.start(member), after: random.pick(300, 3000) * Self.millisecond)
        }
    }

    func thaw(_ member: Int) {
        guard members[member].core != nil,
            time >= max(members[member].supervisorFrozenUntil, members[member].frozenUntil)
        else { return }
        note("\(members[member].name) thaws")
        let deferred = members[member].deferred
        members[member].deferred.removeAll()
        carryOut(deferred[...], for: member)
        let waiting = members[member].inbox
        members[member].inbox.removeAll()
        let life = members[member].life
        for event in waiting where members[member].life == life { tell(member, event) }
        if members[member].life == life { tell(member, .tick) }
    }

    // MARK: - The way to the store

    private func send(_ request: SimulatedStore.Request, from member: Int) {
        let isUnclear = time < storeUnclearUntil
        var way = delay(member, storePlace)
        let limit = Int(timings.storeRequestMax.milliseconds) * Self.millisecond
        let answerBy = time + limit
        let life = members[member].life
        guard isOpen(member, storePlace) else {
            // The packets go nowhere: nobody knows, as far as the shell can tell.
            schedule(.toCore(member, life: life, answer(.unknown, to: request)), after: limit)
            return
        }
        way = loaded(request: way)
        if isUnclear, random.chance(20) { way += random.pick(500, 4000) * Self.millisecond }
        var isLost = isUnclear && random.chance(30)
        if time < callsLostUntil, case .rule(let rule, _, _) = request, rule.recruitment != nil { isLost = true }
        schedule(.request(member, life: life, request, answerBy: answerBy, isLost: isLost), after: way)
        if isLost || way >= limit {
            schedule(.toCore(member, life: life, answer(.unknown, to: request)), after: limit)
        }
    }

    func arrive(_ request: SimulatedStore.Request, from member: Int, life: Int, answerBy: Int, isLost: Bool) {
        let isAnswered = !isLost && time < answerBy
        if time < storeAwayUntil {
            guard isAnswered else { return }
            let outcome = random.chance(50) ? StoreAnswer.unavailable : .unknown
            schedule(.toCore(member, life: life, answer(outcome, to: request)), after: delays[storePlace][member])
            return
        }
        let former = store.view.rule
        // Its host refuses it before it comes to the store.
        let isLawful = checkLaw(request, by: member)
        if isLawful { noteHeard(request, from: member) }
        let (outcome, changed) = isLawful ? store.carryOut(request, at: time) : (.denied("it is not lawful"), false)
        if changed {
            if case .rule = request, outcome != .refused {
                checkPause(former, by: member)
                stallAtChange(former, of: member)
                ruleChanged(by: member)
                checkDecision(former)
                checkStep(after: former)
            }
            publish()
        }
        guard isAnswered else { return }
        let way = delay(storePlace, member)
        guard isOpen(storePlace, member), time + way < answerBy else {
            schedule(.toCore(member, life: life, answer(.unknown, to: request)), after: answerBy - time)
            return
        }
        schedule(.toCore(member, life: life, answer(outcome, to: request)), after: way)
    }

    private func answer(_ outcome: StoreAnswer, to request: SimulatedStore.Request) -> FailoverEvent {
        switch request {
        case .read(let number):
            switch outcome {
            case .applied: return .viewed(store.view, by: .read(number))
            case .refused, .denied, .unavailable, .unknown: return .readFailed(number)
            }
        case .rule(_, _, let number): return .ruleAnswered(number, outcome)
        case .heartbeat(let heartbeat, _): return .heartbeatAnswered(sequence: heartbeat.sequence, outcome)
        case .report(let report): return .reportAnswered(sequence: report.sequence, outcome)
        }
    }

    /// Everybody's watch has something to show; one message at a time for each.
    func publish() {
        for member in members.indices where members[member].core != nil {
            if members[member].watchIsPending {
                members[member].watchIsDirty = true
            } else {
                sendWatch(member)
            }
        }
    }

    private func sendWatch(_ member: Int) {
        members[member].watchIsPending = true
        members[member].watchIsDirty = false
        let late = max(members[member].watchDelayedUntil - time, 0)
        schedule(
            .watch(member, life: members[member].life, store.view), after: delay(storePlace, member) + late)
    }

    func showWatch(_ member: Int, _ life: Int, _ view: StoreView) {
        guard members[member].life == life else { return }
        guard isOpen(storePlace, member), isOpen(member, storePlace), time >= storeAwayUntil else {
            schedule(.watch(member, life: life, view), after: 300 * Self.millisecond)
            return
        }
        members[member].watchIsPending = false
        if members[member].watchIsDirty { sendWatch(member) }
        members[member].hostView = view
        tell(member, .viewed(view, by: .watch))
    }
}

extension FailoverAction {
    /// Beats come and go all the time.
    fileprivate var isWorthALine: Bool {
        if case .beat = self { false } else { true }
    }
}
