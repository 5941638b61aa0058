public import RoostModel

/// What people (and the features that own machines) ask of a machine.
public enum LifeOrder: Hashable, Sendable {
    case start
    case stop(StopWish)
    /// Stop, and launch again.
    case restart(StopWish)
    /// With `force` whatever it does, at once.
    case destroy(force: Bool)

    /// For logs.
    public var verb: String {
        switch self {
        case .start: "start"
        case .stop: "stop"
        case .restart: "restart"
        case .destroy(let force): force ? "destroy by force" : "destroy"
        }
    }
}

/// How a machine is to be stopped, where not as its config says.
public struct StopWish: Hashable, Sendable {
    public var signal: String?
    public var timeout: Duration?

    public init(signal: String? = nil, timeout: Duration? = nil) {
        self.signal = signal
        self.timeout = timeout
    }
}

/// The machine is not in a state that allows the order. Nothing was changed.
public struct OrderRefused: Error, Hashable, Sendable {
    public enum Reason: Hashable, Sendable {
        case cannotStart, cannotRestart
        /// It runs, or is about to.
        case cannotDestroy
    }

    public var reason: Reason
    public var state: MachineState
}

extension MachineLife {
    /// Takes an order on. One that asks for what is so already changes nothing.
    ///
    /// - Parameter source: who orders it.
    /// - Returns: what is worth telling.
    public mutating func take(
        _ order: LifeOrder, as config: MachineConfig, by source: MachineEvent.Source = .user, at now: Moment
    ) throws(OrderRefused) -> [MachineNews] {
        var news =
            switch order {
            case .start: try start(at: now)
            case .stop(let wish): stop(wish, as: config, at: now)
            case .restart(let wish): try restart(wish, as: config, at: now)
            case .destroy(let force): try destroy(force: force)
            }
        for index in news.indices { news[index].source = source }
        return news
    }

    private mutating func start(at now: Moment) throws(OrderRefused) -> [MachineNews] {
        switch phase {
        case .launching, .running: return []
        case .created: phase = .due(.init(isFirst: true))
        case .due(var due):
            // The pause is not for somebody who asks.
            guard due.notBefore != nil else { return [] }
            due.notBefore = nil
            phase = .due(due)
        case .ending(var ending):
            guard ending.then == .rest, breakage != .forgetsStartWhileEnding else { return [] }
            // What was told to end ends, as ordered; then there is a new launch.
            ending.then = .launch
            phase = .ending(ending)
        case .settling, .resting:
            restarts = RestartHistory()
            phase = .due(.init(isFirst: false))
        case .destroying, .destroyed: throw OrderRefused(reason: .cannotStart, state: phase.state)
        }
        return [MachineNews(.start, phase.state == .created ? .starting : phase.state, by: .user)]
    }

    private mutating func stop(_ wish: StopWish, as config: MachineConfig, at now: Moment) -> [MachineNews] {
        switch phase {
        case .created, .settling, .resting, .destroying, .destroyed: return []
        case .due: phase = .settling(.calledOff)
        case .launching(let attempt):
            phase = .ending(ending(attempt, then: .rest, wish, as: config, hasRun: false, at: now))
        case .running(let attempt):
            phase = .ending(ending(attempt, then: .rest, wish, as: config, hasRun: true, at: now))
        case .ending(let present):
            var changed = present
            changed.then = .rest
            // Who asks again and says how, means it.
            if let signal = wish.signal, signal != present.signal {
                changed.signal = signal
                changed.isSignalled = false
                changed.since = now
            }
            if let timeout = wish.timeout { changed.timeout = timeout }
            guard changed != present else { return [] }
            phase = .ending(changed)
        }
        return [MachineNews(.stop, .stopping, by: .user)]
    }

    private mutating func restart(
        _ wish: StopWish, as config: MachineConfig, at now: Moment
    ) throws(OrderRefused) -> [MachineNews] {
        switch phase {
        case .running(let attempt):
            phase = .ending(ending(attempt, then: .launch, wish, as: config, hasRun: true, at: now))
            return [MachineNews(.restart, .restarting, by: .user)]
        case .created, .due, .launching, .ending, .settling, .resting, .destroying, .destroyed:
            throw OrderRefused(reason: .cannotRestart, state: phase.state)
        }
    }

    private func ending(
        _ attempt: String, then: MachinePhase.Ending.Sequel, _ wish: StopWish, as config: MachineConfig, hasRun: Bool,
        at now: Moment
    ) -> MachinePhase.Ending {
        MachinePhase.Ending(
            attempt: attempt, then: then, signal: wish.signal ?? config.stop.effectiveSignal,
            timeout: wish.timeout ?? config.stop.effectiveTimeout, since: now, isSignalled: false, hasRun: hasRun)
    }

    private mutating func destroy(force: Bool) throws(OrderRefused) -> [MachineNews] {
        switch phase {
        case .destroying, .destroyed: return []
        case .created, .resting: break
        case .due(let due):
            guard force || due.isFirst else { throw OrderRefused(reason: .cannotDestroy, state: phase.state) }
        case .launching, .running, .ending, .settling:
            guard force else { throw OrderRefused(reason: .cannotDestroy, state: phase.state) }
        }
        phase = .destroying
        return [MachineNews(.destroy, .destroying, by: .user)]
    }
}
