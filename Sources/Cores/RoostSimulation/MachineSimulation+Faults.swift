internal import RoostMachineLife
import RoostModel

extension MachineSimulation {
    func strike() {
        guard !isHealed else { return }
        schedule(.fault, after: random.pick(1, pace) * Self.millisecond)
        guard !faults.isEmpty else { return }
        let fault = random.choose(faults)
        note("fault: \(fault.rawValue)")
        let until = time + random.pick(1, 10_000) * Self.millisecond
        switch fault {
        case .crashAgent: crashAgent()
        case .endProcess:
            end(
                random.choose([
                    MachineExit(code: 0, signal: nil, oomKilled: false),
                    MachineExit(code: 1, signal: nil, oomKilled: false),
                    MachineExit(code: 139, signal: 11, oomKilled: false),
                ]))
        case .loseProcess: end(MachineLife.unseenExit, isKnown: false)
        case .runtimeFails: runtimeFailsUntil = until
        case .runtimeHangs: runtimeHangsUntil = until
        case .ledgerFails: ledgerFailsUntil = until
        case .slowImages: slowImagesUntil = until
        case .launchRefused: refusesLaunch = true
        case .rebootHost:
            machine.losePower(leavesRemains: random.chance(50))
            crashAgent()
            bootedAt = time
        case .ignoreSignals: machine.ignoresSignals = true
        }
    }

    /// No more faults and orders. What goes on slowly goes on.
    func heal() {
        note("healed")
        isHealed = true
        runtimeFailsUntil = 0
        runtimeHangsUntil = 0
        ledgerFailsUntil = 0
        slowImagesUntil = 0
        refusesLaunch = false
        schedule(.inspect, after: scenario.settledWithinSeconds * Self.second)
    }
}
