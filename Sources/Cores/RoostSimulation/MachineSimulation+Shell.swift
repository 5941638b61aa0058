internal import RoostMachineLife
import RoostModel

// The agent and its keeper: what the shell around the cores does, in virtual time.
extension MachineSimulation {
    func startAgent() {
        guard !isAgentUp else { return }
        isAgentUp = true
        incarnation += 1
        life.resume(at: now)
        keeper = KeeperLoop()
        keeper.breakage = breakage
        newestOrder = 0
        activity = nil
        note("the agent starts")
        act(keeper.begin())
    }

    /// It dies; a step that is being taken is cut off somewhere.
    func crashAgent() {
        guard isAgentUp else { return }
        note("the agent dies")
        crashes += 1
        isAgentUp = false
        incarnation += 1
        if let activity { cutOff(activity.step) }
        activity = nil
        schedule(.startAgent, after: random.pick(1, 3000) * Self.millisecond)
    }

    func act(_ action: KeeperLoop.Action?) {
        guard let action else { return }
        switch action {
        case .ask(let finding):
            schedule(.tell(finding, incarnation: incarnation), after: random.pick(50, 3000))
        case .take(let step): take(step)
        case .breakOff: breakOff()
        case .end: note("the keeper ends")
        }
    }

    // MARK: - The ledger

    var ledgerFails: Bool { time < ledgerFailsUntil }

    /// A turn of the agent: as ``HostAgent/tell(_:of:)``.
    func tell(_ finding: MachineFinding) {
        attempts += 1
        let before = life
        var changed = life
        let turn = changed.next(after: finding, as: config, at: now, attempt: "run-\(attempts)")
        if changed != before {
            guard !ledgerFails else {
                note("the ledger takes no change after \(finding)")
                return schedule(.keeper(.notTold, incarnation: incarnation), after: random.pick(10, 500))
            }
            life = changed
        }
        note("\(finding): \(before.phase) -> \(life.phase), \(turn.step)")
        for news in turn.news { check(news, before: before.phase) }
        events += turn.news
        checkState()
        check(turn.step)
        schedule(
            .keeper(.told(turn.step, order: newestOrder), incarnation: incarnation), after: random.pick(10, 500))
    }

    /// Somebody orders something; what is confirmed must come true.
    func giveOrder() {
        defer { if !isHealed { schedule(.order, after: random.pick(1, pace) * Self.millisecond) } }
        guard isAgentUp, !isHealed else { return }
        let wish = StopWish(
            signal: random.chance(20) ? "SIGTERM" : nil, timeout: random.chance(20) ? .seconds(random.pick(0, 10)) : nil
        )
        let order: LifeOrder
        switch random.pick(1, 100) {
        case ...40: order = .start
        case ...70: order = .stop(wish)
        case ...90: order = .restart(wish)
        case ...92: order = .destroy(force: true)
        default: order = .destroy(force: false)
        }
        let before = life
        var changed = life
        let news: [MachineNews]
        do throws(OrderRefused) { news = try changed.take(order, as: config, at: now) } catch {
            note("refused: \(order)")
            return checkRefusal(error, of: order, before)
        }
        if changed != before {
            guard !ledgerFails else {
                if scenario.breach == .confirmsBeforeWriting { confirm(order, before) }
                return
            }
            life = changed
            events += news
            newestOrder += 1
            schedule(.keeper(.called(order: newestOrder), incarnation: incarnation), after: random.pick(1, 2000))
        }
        note("ordered: \(order): \(before.phase) -> \(life.phase)")
        confirm(order, before)
    }

    // MARK: - Steps

    func take(_ step: MachineStep) {
        steps += 1
        activity = Activity(number: steps, step: step)
        switch step {
        case .rest(let end):
            guard let end else { return }
            finishIn(microseconds(until: end))
        case .watch(_, let end):
            guard machine.isRunning else { return finishIn(random.pick(1, 5) * Self.millisecond) }
            guard let end else { return }
            finishIn(microseconds(until: end))
        case .launch:
            let slow = time < slowImagesUntil ? random.pick(1, 900) * Self.second : 0
            finishIn(duration(random.pick(20, 300)) + slow)
        case .look, .signal, .kill, .remove, .release, .dismantle, .gone: finishIn(duration(random.pick(1, 50)))
        }
    }

    private func microseconds(until end: Moment) -> Int {
        let left = (end - now).components
        return max(0, Int(left.seconds) * Self.second + Int(left.attoseconds / 1_000_000_000_000))
    }

    /// Milliseconds, or until the runtime answers again.
    private func duration(_ milliseconds: Int) -> Int {
        max(milliseconds * Self.millisecond, runtimeHangsUntil - time)
    }

    private func finishIn(_ delay: Int) {
        schedule(.finish(step: steps, incarnation: incarnation), after: delay)
    }

    func breakOff() {
        // It has just ended, and its outcome is on the way.
        guard var present = activity else { return }
        note("broken off: \(present.step)")
        present.isBrokenOff = true
        steps += 1
        present.number = steps
        activity = present
        finishIn(random.pick(1, 100) * Self.millisecond)
    }

    func finish(_ done: Activity) {
        activity = nil
        schedule(.keeper(outcome(of: done), incarnation: incarnation), after: random.pick(1, 500))
    }

    private var runtimeFails: Bool { time < runtimeFailsUntil && random.chance(60) }

    private func outcome(of done: Activity) -> KeeperLoop.Event {
        switch done.step {
        case .rest, .gone: return done.isBrokenOff ? .failed : .done(.nothing)
        case .watch(let attempt, let end):
            if done.isBrokenOff { return .failed }
            if case .exited(let exit, attempt) = machine.body { return .done(.seen(.exited(exit, attempt: attempt))) }
            return end == nil ? .failed : .done(.nothing)
        case .launch(let attempt): return launch(attempt, isBrokenOff: done.isBrokenOff)
        case .look: return runtimeFails ? .failed : .done(.seen(machine.observation))
        case .signal(let attempt, _):
            if runtimeFails { return .failed }
            guard machine.isRunning else { return .done(.nothing) }
            if !machine.ignoresSignals { scheduleEnd(after: random.pick(1, 3000)) }
            return .done(.signalled(attempt: attempt))
        case .kill:
            if runtimeFails { return .failed }
            end(MachineExit(code: 137, signal: 9, oomKilled: false))
            return .done(.nothing)
        case .remove:
            if runtimeFails { return .failed }
            remove()
            return .done(.nothing)
        case .release:
            if runtimeFails { return .failed }
            machine.hasVolume = false
            return .done(.released)
        case .dismantle:
            if runtimeFails {
                if random.chance(50) { remove() }
                return .failed
            }
            remove()
            machine.hasLink = false
            machine.hasVolume = false
            return .done(.dismantled)
        }
    }

    private func scheduleEnd(after milliseconds: Int) {
        guard case .running(let attempt) = machine.body else { return }
        let exit = MachineExit(code: random.chance(70) ? 0 : 7, signal: nil, oomKilled: false)
        schedule(.endProcess(attempt: attempt, exit), after: milliseconds * Self.millisecond)
    }

    private func remove() {
        end(MachineExit(code: 137, signal: 9, oomKilled: false))
        machine.body = .absent
    }

    private func launch(_ attempt: String, isBrokenOff: Bool) -> KeeperLoop.Event {
        machine.hasVolume = true
        machine.hasLink = true
        if isBrokenOff, random.chance(60) {
            if random.chance(50), case .absent = machine.body { machine.body = .remains }
            return .failed
        }
        let isRefused = refusesLaunch
        if isRefused || runtimeFails {
            refusesLaunch = false
            machine.failedLaunches.insert(attempt)
            if random.chance(30), case .absent = machine.body { machine.body = .remains }
            // It failed after the process was there.
            if !isRefused, random.chance(20), case .absent = machine.body { begin(attempt) }
            return .done(.launchFailed(attempt: attempt, why: "no", isPermanent: isRefused))
        }
        begin(attempt)
        return isBrokenOff && random.chance(50)
            ? .failed : .done(.seen(.running(RunningMachine(pid: 1, attempt: attempt))))
    }

    private func begin(_ attempt: String) {
        switch machine.body {
        case .absent: break
        case .remains, .exited: return fail("\(attempt) is launched over what another launch left")
        case .running: return fail("\(attempt) is launched over a running process")
        }
        machine.launch(attempt)
        note("\(attempt) runs")
    }

    func end(_ exit: MachineExit, isKnown: Bool = true) {
        guard machine.isRunning else { return }
        machine.end(exit, isKnown: isKnown)
        if let activity, case .watch = activity.step {
            steps += 1
            self.activity?.number = steps
            finishIn(random.pick(1, 5) * Self.millisecond)
        }
    }

    /// The agent died in the middle of a step: it may have come to anything.
    private func cutOff(_ step: MachineStep) {
        switch step {
        case .look, .watch, .rest, .gone: break
        case .launch(let attempt):
            switch random.pick(1, 4) {
            case 1: break
            case 2: if case .absent = machine.body { machine.body = .remains }
            default: if case .absent = machine.body { begin(attempt) }
            }
        case .signal: if random.chance(50), machine.isRunning, !machine.ignoresSignals { scheduleEnd(after: 10) }
        case .kill: if random.chance(50) { end(MachineExit(code: 137, signal: 9, oomKilled: false)) }
        case .remove: if random.chance(50) { remove() }
        case .release: if random.chance(50) { machine.hasVolume = false }
        case .dismantle:
            if random.chance(70) { remove() }
            if random.chance(30) { machine.hasLink = false }
        }
    }
}
