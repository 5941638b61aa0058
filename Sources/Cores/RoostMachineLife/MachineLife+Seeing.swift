import RoostModel

// What is seen becomes a step.
extension MachineLife {
    mutating func see(
        _ observation: MachineObservation, as config: MachineConfig, at now: Moment, attempt: String
    ) -> MachineTurn {
        if breakage == .overwritesOrders, case .running(let running) = observation, phase.state != .destroyed {
            return begin(running.attempt, at: now)
        }
        switch phase {
        case .created, .resting: return seeResting(observation)
        case .due(let due): return seeDue(due, observation, at: now, attempt: attempt)
        case .launching(let name): return seeLaunching(name, observation, as: config, at: now)
        case .running(let name): return seeRunning(name, observation, as: config, at: now)
        case .ending(let ending): return seeEnding(ending, observation, as: config, at: now)
        case .settling(let rest): return seeSettling(rest, observation)
        case .destroying: return MachineTurn(.dismantle)
        case .destroyed: return MachineTurn(.gone)
        }
    }

    private func seeResting(_ observation: MachineObservation) -> MachineTurn {
        switch observation {
        case .absent: MachineTurn(.rest(until: nil))
        case .remains, .exited: MachineTurn(.remove)
        // A process that nobody asked for.
        case .running: MachineTurn(.kill)
        }
    }

    mutating func seeDue(
        _ due: MachinePhase.Due, _ observation: MachineObservation, at now: Moment, attempt: String
    ) -> MachineTurn {
        switch observation {
        case .running(let running): return begin(running.attempt, at: now)
        case .remains, .exited:
            if breakage == .launchesOverRemains { break }
            return MachineTurn(.remove)
        case .absent: break
        }
        let pause = due.pause(at: now)
        guard pause == .zero else { return MachineTurn(.rest(until: now + pause)) }
        phase = .launching(attempt: attempt)
        return MachineTurn(.launch(attempt: attempt))
    }

    private mutating func seeLaunching(
        _ name: String, _ observation: MachineObservation, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        switch observation {
        case .running(let running): return begin(running.attempt, at: now)
        case .exited(let exit, let ended):
            return ended == name ? concludeOwn(exit, isSeen: true, as: config, at: now) : MachineTurn(.remove)
        // A launch that was cut off.
        case .remains: return MachineTurn(.remove)
        case .absent: return MachineTurn(.launch(attempt: name))
        }
    }

    private mutating func seeRunning(
        _ name: String, _ observation: MachineObservation, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        switch observation {
        case .running(let running):
            guard running.attempt == name else { return begin(running.attempt, at: now) }
            return MachineTurn(.watch(attempt: name, until: nil))
        case .exited(let exit, _): return concludeOwn(exit, isSeen: true, as: config, at: now)
        case .remains, .absent: return concludeOwn(Self.unseenExit, isSeen: false, as: config, at: now)
        }
    }

    private mutating func seeEnding(
        _ ending: MachinePhase.Ending, _ observation: MachineObservation, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        switch observation {
        case .running(let running):
            if !ending.hasRun {
                var ending = ending
                ending.hasRun = true
                phase = .ending(ending)
            }
            let deadline = ending.deadline(at: now)
            if now >= deadline, breakage != .neverKills { return MachineTurn(.kill) }
            if !ending.isSignalled { return MachineTurn(.signal(attempt: running.attempt, ending.signal)) }
            return MachineTurn(
                .watch(attempt: running.attempt, until: breakage == .neverKills ? nil : deadline))
        case .exited(let exit, _): return concludeOrdered(ending, exit, isSeen: true, as: config, at: now)
        case .remains, .absent:
            return concludeOrdered(ending, ending.hasRun ? Self.unseenExit : nil, isSeen: false, as: config, at: now)
        }
    }

    private func seeSettling(_ rest: MachinePhase.Rest, _ observation: MachineObservation) -> MachineTurn {
        switch observation {
        // A launch that was taken for failed runs after all.
        case .running: return MachineTurn(.kill)
        case .remains: return MachineTurn(.remove)
        case .exited(let exit, _):
            guard breakage == .tellsEndsTwice else { return MachineTurn(.remove) }
            return MachineTurn(.remove, news(of: exit, isSeen: true, isOrdered: false, isRestarting: false))
        case .absent: return MachineTurn(.release)
        }
    }

    private mutating func begin(_ attempt: String, at now: Moment) -> MachineTurn {
        phase = .running(attempt: attempt)
        restarts.noteStart(at: now)
        return MachineTurn(.watch(attempt: attempt, until: nil), MachineNews(.start, .started, by: .roostd))
    }

    // MARK: - Ends

    /// The process has ended without an order: the restart policy decides, once.
    private mutating func concludeOwn(
        _ exit: MachineExit, isSeen: Bool, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        switch restarts.decide(after: exit, policy: config.restart, at: now) {
        case .restart(let pause):
            phase = .due(.init(isFirst: false, notBefore: pause > .zero ? now + pause : nil))
        case .rest: phase = config.autoDestroy ? .destroying : .settling(.ended(exit))
        case .giveUp: phase = config.autoDestroy ? .destroying : .settling(.gaveUp(exit))
        }
        let isRestarting = phase.state == .starting
        return MachineTurn(
            .look, news(of: exit, isSeen: isSeen, isOrdered: false, isRestarting: isRestarting))
    }

    /// A launch that was told to end has ended. That is no fault of it: the restart policy is not asked.
    ///
    /// - Parameter exit: nil when no process of it was ever seen.
    private mutating func concludeOrdered(
        _ ending: MachinePhase.Ending, _ exit: MachineExit?, isSeen: Bool, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        if breakage == .countsOrderedEnds, let exit {
            return concludeOwn(exit, isSeen: isSeen, as: config, at: now)
        }
        restarts.noteEnd(at: now)
        switch ending.then {
        case .launch: phase = .due(.init(isFirst: false))
        case .rest: phase = .settling(exit.map { .ended($0) } ?? .calledOff)
        }
        guard let exit else { return MachineTurn(.look) }
        return MachineTurn(
            .look, news(of: exit, isSeen: isSeen, isOrdered: true, isRestarting: ending.then == .launch))
    }

    private func news(of exit: MachineExit, isSeen: Bool, isOrdered: Bool, isRestarting: Bool) -> MachineNews {
        var status = phase.state
        // Clearing away takes a moment more; what it leads to is certain.
        if case .settling(let rest) = phase { status = rest.state }
        var words = [isSeen ? Self.memoryWords(exit) : "it ended while nobody saw it: how is not known"]
        if case .settling(.gaveUp) = phase { words.append("it ended too often in a row, and is not started again") }
        return MachineNews(
            .exit, status, by: .roostd,
            exit: .init(
                exitCode: Int(exit.code), signal: exit.signal.map(Int.init), oomKilled: exit.oomKilled,
                requestedStop: isOrdered, restarting: isRestarting),
            message: words.contains { $0 != nil } ? words.compactMap(\.self).joined(separator: "; ") : nil)
    }

    /// Also where a process other than the first was the victim: nothing else would tell.
    private static func memoryWords(_ exit: MachineExit) -> String? {
        exit.memoryKills > 0 ? "out of memory: the kernel ended \(exit.memoryKills) of its processes at its limit" : nil
    }

    mutating func noteFailure(
        of attempt: String, _ why: String, isPermanent: Bool, as config: MachineConfig, at now: Moment
    ) -> MachineTurn {
        let isPresent = phase == .launching(attempt: attempt)
        // Ordered otherwise meanwhile.
        guard isPresent || breakage == .launchesWhateverWasOrdered else { return MachineTurn(firstStep) }
        if isPermanent {
            phase = .settling(.unlaunchable(why))
        } else {
            switch restarts.decide(after: Self.launchExit, policy: config.restart, at: now) {
            case .restart(let pause):
                phase = .due(.init(isFirst: false, notBefore: now + max(pause, Self.launchPauseMin)))
            case .rest, .giveUp: phase = .settling(.unlaunchable(why))
            }
        }
        let status = phase.state == .starting ? MachineState.starting : .failed
        return MachineTurn(.look, MachineNews(.failure, status, by: .roostd, message: why))
    }
}
