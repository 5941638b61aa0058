internal import RoostMachineLife
import RoostModel

/// The kernel's and the runtime's side of one machine: what really is there, whatever anybody believes.
struct SimulatedMachine {
    enum Body {
        case absent
        case remains
        case running(attempt: String)
        case exited(MachineExit, attempt: String)
    }

    /// One launch that became a process.
    struct Launch {
        /// Nil while it runs, and for ever when nobody can know.
        var exit: MachineExit?
        var hasEnded = false
    }

    var body = Body.absent
    var hasVolume = false
    var hasLink = false
    var ignoresSignals = false
    var launches: [String: Launch] = [:]
    var failedLaunches: Set<String> = []

    var isRunning: Bool {
        switch body {
        case .running: true
        case .absent, .remains, .exited: false
        }
    }

    var observation: MachineObservation {
        switch body {
        case .absent: .absent
        case .remains: .remains
        case .running(let attempt): .running(RunningMachine(pid: 1, attempt: attempt))
        case .exited(let exit, let attempt): .exited(exit, attempt: attempt)
        }
    }

    mutating func launch(_ attempt: String) {
        body = .running(attempt: attempt)
        launches[attempt] = Launch()
    }

    /// - Parameter isKnown: false: nothing is left that says how.
    mutating func end(_ exit: MachineExit, isKnown: Bool = true) {
        guard case .running(let attempt) = body else { return }
        launches[attempt]?.hasEnded = true
        launches[attempt]?.exit = isKnown ? exit : nil
        body = isKnown ? .exited(exit, attempt: attempt) : .remains
    }

    /// Nothing survives in memory; what is on disk may.
    mutating func losePower(leavesRemains: Bool) {
        let wasThere = observation != .absent
        end(MachineLife.unseenExit, isKnown: false)
        body = wasThere && leavesRemains ? .remains : .absent
        hasVolume = false
        hasLink = false
    }
}
