public import RoostModel

/// What a machine shall be and how far that has come: kept in its host's ledger, changed by orders
/// (``take(_:as:at:)``) and by what came of the last step (``next(after:as:at:attempt:)``).
///
/// A life decides by what is seen now, never by what was done before: whoever keeps the machine can die at any
/// instruction, and another one looks and goes on.
public struct MachineLife: Hashable, Sendable, Codable {
    public internal(set) var phase: MachinePhase
    public internal(set) var restarts: RestartHistory
    package var breakage: LifeBreakage?

    enum CodingKeys: String, CodingKey { case phase, restarts }

    /// How an end is told that nobody saw: as of a process that was killed.
    public static let unseenExit = MachineExit(code: 137, signal: nil, oomKilled: false)
    /// How the end of a launch that came to nothing counts for the restart policy.
    static let launchExit = MachineExit(code: 255, signal: nil, oomKilled: false)
    /// The shortest pause after a launch that failed.
    public static let launchPauseMin = Duration.milliseconds(200)

    public init(startsAtOnce: Bool) {
        self.init(phase: startsAtOnce ? .due(.init(isFirst: true)) : .created)
    }

    public init(phase: MachinePhase, restarts: RestartHistory = RestartHistory()) {
        self.phase = phase
        self.restarts = restarts
    }

    /// What is to be done next.
    ///
    /// - Parameter attempt: the name of a launch, should one begin now; never used before.
    public mutating func next(
        after finding: MachineFinding, as config: MachineConfig, at now: Moment, attempt: String
    ) -> MachineTurn {
        switch finding {
        case .nothing:
            // Nothing can be there yet.
            if case .due(let due) = phase, due.isFirst { return seeDue(due, .absent, at: now, attempt: attempt) }
            return MachineTurn(firstStep)
        case .seen(let observation): return see(observation, as: config, at: now, attempt: attempt)
        case .launchFailed(let failed, let why, let isPermanent):
            return noteFailure(of: failed, why, isPermanent: isPermanent, as: config, at: now)
        case .signalled:
            guard case .ending(var ending) = phase else { return MachineTurn(.look) }
            ending.isSignalled = true
            ending.since = now
            phase = .ending(ending)
            return MachineTurn(.look)
        case .released:
            guard case .settling(let rest) = phase else { return MachineTurn(.look) }
            phase = .resting(rest)
            guard rest == .calledOff else { return MachineTurn(.rest(until: nil)) }
            return MachineTurn(.rest(until: nil), MachineNews(.stop, .stopped, by: .roostd))
        case .dismantled:
            guard case .destroying = phase else { return MachineTurn(firstStep) }
            phase = .destroyed
            return MachineTurn(.gone, MachineNews(.destroy, .destroyed, by: .roostd))
        }
    }

    /// Somebody new keeps the machine, after a restart of the host's program or of the host: the time to end by itself
    /// begins anew for a process that was not sent its signal.
    public mutating func resume(at now: Moment) {
        guard case .ending(var ending) = phase, !ending.isSignalled else { return }
        ending.since = now
        phase = .ending(ending)
    }

    /// What is done by who knows nothing of what is there.
    var firstStep: MachineStep {
        switch phase {
        case .created: .rest(until: nil)
        case .due, .launching, .running, .ending, .settling, .resting: .look
        case .destroying: .dismantle
        case .destroyed: .gone
        }
    }
}
