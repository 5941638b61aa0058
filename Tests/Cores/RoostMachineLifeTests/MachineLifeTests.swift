import RoostMachineLife
import RoostModel
import Testing

/// One life told by hand: what is ordered and seen, and what follows.
@Suite struct MachineLifeTests {
    private var config = MachineConfig(image: "a", stop: StopConfig(timeout: DurationText(.seconds(5))))
    private let ended = MachineExit(code: 0, signal: nil, oomKilled: false)

    private func at(_ seconds: Int) -> Moment { Moment(sinceBoot: .seconds(seconds)) }

    private func running(_ attempt: String) -> MachineFinding {
        .seen(.running(RunningMachine(pid: 7, attempt: attempt)))
    }

    /// A life whose launch `a` runs since the first second.
    private func started() -> MachineLife {
        var life = MachineLife(startsAtOnce: true)
        #expect(life.next(after: .nothing, as: config, at: at(1), attempt: "a").step == .launch(attempt: "a"))
        let turn = life.next(after: running("a"), as: config, at: at(1), attempt: "x")
        #expect(turn.step == .watch(attempt: "a", until: nil))
        #expect(turn.news.map(\.kind) == [.start])
        #expect(life.phase.state == .started)
        return life
    }

    private func order(_ order: LifeOrder, _ life: inout MachineLife, at second: Int) throws -> [MachineNews] {
        try life.take(order, as: config, at: at(second))
    }

    @Test("A start while the machine stops: it ends as ordered, then there is a new launch")
    mutating func startWhileStopping() throws {
        config.autoDestroy = true
        config.restart = MachineRestart(policy: .no)
        var life = started()
        _ = try order(.stop(StopWish()), &life, at: 2)
        #expect(life.next(after: .nothing, as: config, at: at(2), attempt: "x").step == .look)
        #expect(
            life.next(after: running("a"), as: config, at: at(2), attempt: "x").step
                == .signal(attempt: "a", "SIGINT"))
        _ = life.next(after: .signalled(attempt: "a"), as: config, at: at(2), attempt: "x")
        let history = life.restarts
        let news = try order(.start, &life, at: 3)
        #expect(news.map(\.kind) == [.start])
        #expect(life.phase.state == .restarting)
        let turn = life.next(after: .seen(.exited(ended, attempt: "a")), as: config, at: at(4), attempt: "x")
        #expect(turn.news.first?.exit?.requestedStop == true)
        #expect(turn.news.first?.exit?.restarting == true)
        #expect(life.restarts.restartsInARow == history.restartsInARow)
        #expect(life.next(after: .seen(.absent), as: config, at: at(4), attempt: "b").step == .launch(attempt: "b"))
    }

    @Test("An ordered end is not a crash: policy always does not count it")
    mutating func orderedEndIsNotCounted() throws {
        config.restart = MachineRestart(policy: .always)
        var life = started()
        for name in ["b", "c", "d"] {
            _ = try order(.restart(StopWish()), &life, at: 2)
            _ = life.next(after: .seen(.exited(ended, attempt: "a")), as: config, at: at(3), attempt: "x")
            // At once: no pause of a crash loop.
            #expect(
                life.next(after: .seen(.absent), as: config, at: at(3), attempt: name).step == .launch(attempt: name))
            _ = life.next(after: running(name), as: config, at: at(3), attempt: "x")
        }
        #expect(life.restarts.restartsInARow == 0)
    }

    @Test("A look from before the order does not undo it")
    func lookFromBeforeTheOrder() throws {
        var life = started()
        _ = try order(.restart(StopWish()), &life, at: 2)
        let turn = life.next(after: running("a"), as: config, at: at(2), attempt: "x")
        #expect(turn.news.isEmpty)
        #expect(life.phase.state == .restarting)
        #expect(turn.step == .signal(attempt: "a", "SIGINT"))
    }

    @Test("A process that ignores its signal is killed when its time is over, also by the next keeper")
    func killedInTime() throws {
        var life = started()
        _ = try order(.stop(StopWish(timeout: .seconds(3))), &life, at: 10)
        _ = life.next(after: .signalled(attempt: "a"), as: config, at: at(10), attempt: "x")
        #expect(
            life.next(after: running("a"), as: config, at: at(12), attempt: "x").step
                == .watch(attempt: "a", until: at(13)))
        life.resume(at: at(12))
        #expect(life.next(after: running("a"), as: config, at: at(13), attempt: "x").step == .kill)
    }

    @Test("Who stops again and says how, means it")
    func stopAgain() throws {
        var life = started()
        _ = try order(.stop(StopWish(timeout: .seconds(300))), &life, at: 10)
        _ = life.next(after: .signalled(attempt: "a"), as: config, at: at(10), attempt: "x")
        let news = try order(.stop(StopWish()), &life, at: 11)
        #expect(news.isEmpty)
        _ = try order(.stop(StopWish(signal: "SIGKILL")), &life, at: 12)
        #expect(
            life.next(after: running("a"), as: config, at: at(12), attempt: "x").step
                == .signal(attempt: "a", "SIGKILL"))
    }

    @Test("The event of an order says who ordered it")
    func sources() throws {
        for source in MachineEvent.Source.known {
            for order in [LifeOrder.stop(StopWish()), .restart(StopWish()), .destroy(force: true)] {
                var life = started()
                let news = try life.take(order, as: config, by: source, at: at(2))
                #expect(!news.isEmpty && news.allSatisfy { $0.source == source }, "\(order)")
            }
        }
    }

    @Test("A stop of what does not run is done already: it changes nothing, and the state says that nothing runs")
    func stopAtRest() throws {
        let ending = MachinePhase.Ending(
            attempt: "a", then: .launch, signal: "SIGINT", timeout: .seconds(5), since: at(1), isSignalled: true,
            hasRun: true)
        let phases: [MachinePhase] = [
            .created, .due(.init(isFirst: true)), .due(.init(isFirst: false)), .launching(attempt: "a"),
            .running(attempt: "a"), .ending(ending), .settling(.calledOff), .resting(.calledOff),
            .resting(.ended(ended)),
            .resting(.gaveUp(ended)), .resting(.unlaunchable("no such user")), .destroying, .destroyed,
        ]
        for phase in phases {
            var life = MachineLife(phase: phase)
            let news = try order(.stop(StopWish()), &life, at: 2)
            // Whoever waits for it after the order waits exactly as long as something of it may be there.
            #expect(MachineState.withoutProcess.contains(life.phase.state) == life.phase.isAtRest, "\(phase)")
            if phase.isAtRest { #expect(news.isEmpty && life.phase == phase, "\(phase)") }
        }
    }

    @Test("A launch that cannot succeed fails at once, one that may is tried again")
    func failedLaunch() throws {
        for isPermanent in [true, false] {
            var life = MachineLife(startsAtOnce: true)
            _ = life.next(after: .nothing, as: config, at: at(1), attempt: "a")
            let turn = life.next(
                after: .launchFailed(attempt: "a", why: "no such user", isPermanent: isPermanent), as: config,
                at: at(1), attempt: "x")
            #expect(turn.news.first?.message == "no such user")
            if isPermanent {
                #expect(life.phase == .settling(.unlaunchable("no such user")))
                #expect(life.next(after: .seen(.absent), as: config, at: at(1), attempt: "b").step == .release)
                _ = life.next(after: .released, as: config, at: at(1), attempt: "b")
                #expect(life.phase.state == .failed)
            } else {
                #expect(
                    life.next(after: .seen(.absent), as: config, at: at(1), attempt: "b").step
                        == .rest(until: at(1) + MachineLife.launchPauseMin))
            }
        }
    }

    @Test("A machine whose destruction was ordered is not launched, whatever comes of a launch")
    func destroyedWhileLaunching() throws {
        for finding in [
            MachineFinding.launchFailed(attempt: "a", why: "x", isPermanent: false), running("a"), .seen(.absent),
            .seen(.remains), .nothing,
        ] {
            var life = MachineLife(startsAtOnce: true)
            _ = life.next(after: .nothing, as: config, at: at(1), attempt: "a")
            var refused = life
            #expect(throws: OrderRefused.self) { try order(.destroy(force: false), &refused, at: 1) }
            _ = try order(.destroy(force: true), &life, at: 1)
            #expect(life.next(after: finding, as: config, at: at(2), attempt: "b").step == .dismantle)
            #expect(life.next(after: .dismantled, as: config, at: at(2), attempt: "b").step == .gone)
            #expect(life.phase == .destroyed)
        }
    }

    @Test("A pause of a clock that began anew is over")
    func pauseOfAnotherBoot() {
        var life = MachineLife(phase: .due(.init(isFirst: false, notBefore: at(100_000))))
        #expect(life.next(after: .seen(.absent), as: config, at: at(5), attempt: "b").step == .launch(attempt: "b"))
    }
}
