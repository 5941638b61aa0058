internal import RoostMachineLife
import RoostModel

extension MachineSimulation {
    func confirm(_ order: LifeOrder, _ before: MachineLife) {
        orders += 1
        switch order {
        case .start: wish = .started
        case .stop:
            if wish != .destroyed { wish = .stopped }
            expectEnd(before)
        case .restart:
            wish = .started
            expectEnd(before)
        case .destroy: wish = .destroyed
        }
        wishedAt = events.count
    }

    private func expectEnd(_ before: MachineLife) {
        switch before.phase {
        case .launching(let attempt), .running(let attempt): orderedEnds.insert(attempt)
        case .created, .due, .ending, .settling, .resting, .destroying, .destroyed: break
        }
    }

    func checkRefusal(_ refusal: OrderRefused, of order: LifeOrder, _ before: MachineLife) {
        let state = before.phase.state
        let isRight =
            switch order {
            case .start: [.destroying, .destroyed].contains(state)
            case .stop: false
            case .restart: state != .started
            case .destroy(let force): !force && ![.created, .stopped, .failed].contains(state)
            }
        if !isRight { fail("\(order) was refused in state \(state.rawValue)") }
    }

    /// What is to be done fits what was ordered.
    func check(_ step: MachineStep) {
        guard case .launch = step else { return }
        switch wish {
        case .started: break
        case .created, .stopped, .destroyed: fail("it is launched although it was ordered to be \(wish)")
        }
    }

    func checkState() {
        let state = life.phase.state
        if [.stopped, .failed, .created, .destroyed].contains(state), machine.isRunning {
            fail("it runs and is said to be \(state.rawValue)")
        }
        if state == .destroyed, machine.observation != .absent || machine.hasLink || machine.hasVolume {
            fail("it is said to be destroyed, and something is left")
        }
        if case .resting = life.phase, machine.observation != .absent || machine.hasVolume {
            fail("it is at rest, and something is left")
        }
    }

    /// What is told is what happened, once.
    func check(_ news: MachineNews, before: MachinePhase) {
        if news.kind == .start {
            guard case .running(let attempt) = life.phase, machine.launches[attempt] != nil else {
                return fail("a start is told that never was")
            }
        } else if news.kind == .exit {
            guard let attempt = before.attempt else { return fail("an end is told of no launch") }
            guard toldEnds.insert(attempt).inserted else { return fail("the end of \(attempt) is told twice") }
            guard let launch = machine.launches[attempt], launch.hasEnded else {
                return fail("an end of \(attempt) is told that never was")
            }
            if news.message == nil, let exit = launch.exit, news.exit?.exitCode != Int(exit.code) {
                fail("\(attempt) ended with \(exit.code), and \(news.exit?.exitCode ?? -1) is told")
            }
            if news.exit?.requestedStop != orderedEnds.contains(attempt) {
                fail("the end of \(attempt) is told as \(orderedEnds.contains(attempt) ? "its own" : "ordered")")
            }
        } else if news.kind == .failure {
            guard let attempt = before.attempt, machine.failedLaunches.contains(attempt) else {
                return fail("a failed launch is told that never was")
            }
        }
    }

    // MARK: - The end

    /// Everything has been well for a while.
    func inspect() {
        note("inspected: \(life.phase), \(machine.body)")
        switch wish {
        case .created:
            if life.phase != .created { fail("nobody ordered anything, and it is \(life.phase)") }
        case .stopped:
            let isAtRest = [.created, .stopped, .failed].contains(life.phase.state)
            if !isAtRest, !(config.autoDestroy && life.phase == .destroyed) {
                fail("the order to stop is lost: it is \(life.phase)")
            }
        case .destroyed:
            if life.phase != .destroyed { fail("the order to destroy is lost: it is \(life.phase)") }
        case .started: inspectStarted()
        }
    }

    private func inspectStarted() {
        switch life.phase {
        case .running(let attempt):
            guard case .running(attempt) = machine.body else { return fail("it is said to run, and does not") }
        case .launching:
            // A large image is still coming.
            guard let activity, case .launch = activity.step else {
                return fail("the order to start is lost: \(life.phase)")
            }
        case .resting, .destroyed:
            let since = events[min(wishedAt, events.count)...]
            let ended = since.contains {
                $0.kind == .exit && $0.exit?.requestedStop == false && $0.exit?.restarting == false
            }
            let failed = since.contains { $0.kind == .failure && $0.status == .failed }
            if !ended && !failed { fail("the order to start is lost: it is \(life.phase)") }
            if config.restart.policy == .always, ended { fail("it is at rest, and its policy is to restart it always") }
        case .created, .due, .ending, .settling, .destroying:
            fail("the order to start is lost: it is \(life.phase)")
        }
    }
}

extension MachinePhase {
    /// The launch that the phase is about.
    fileprivate var attempt: String? {
        switch self {
        case .launching(let attempt), .running(let attempt): attempt
        case .ending(let ending): ending.attempt
        case .created, .due, .settling, .resting, .destroying, .destroyed: nil
        }
    }
}
