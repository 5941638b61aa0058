import Logging
import RoostLinux
import RoostMesh
import RoostModel
import RoostRuntime

/// What a keeper found, written down.
extension HostAgent {
    enum ExitVerdict: Equatable {
        case restart(after: Duration)
        /// Nothing more to do: stopped, failed or to be destroyed.
        case rest
    }

    func beginLaunch(_ machine: MachineID, attempt: String) async throws(Refusal) {
        let row = try update(machine) { row throws(Refusal) in
            row.attempt = attempt
            row.restartAttempt = nil
            row.isGateOpen = false
            row.record.state = .starting
        }
        // Others have no gate.
        if row.record.owner != nil { await closeGates() }
    }

    func noteStarted(_ machine: MachineID, attempt: String) throws(Refusal) {
        try update(machine) { row throws(Refusal) in
            guard row.record.state != .started || row.attempt != attempt else { return }
            row.attempt = attempt
            guard row.goal == .started else { return }
            row.record.state = .started
            row.restarts.noteStart(at: BootClock.now())
            row.add(.make(.start, status: .started, source: .roostd))
        }
    }

    /// Decides by the restart policy what follows an exit. Asked again for the same launch it gives the same answer
    /// without counting twice.
    func conclude(_ machine: MachineID, attempt: String, exit: MachineExit) throws(Refusal) -> ExitVerdict {
        let row = try requireRow(machine)
        let isRestart = row.restartAttempt == attempt
        let wasRequested = row.goal != .started || isRestart
        if row.concludedAttempt == attempt {
            return row.goal == .started && row.record.state != .failed && row.record.state != .stopped
                ? .restart(after: .zero) : .rest
        }
        var verdict = ExitVerdict.rest
        try update(machine) { row throws(Refusal) in
            row.concludedAttempt = attempt
            row.restartAttempt = nil
            row.isGateOpen = false
            if isRestart {
                verdict = .restart(after: .zero)
                row.record.state = .starting
            } else if row.goal == .started {
                switch row.restarts.decide(
                    after: exit, policy: row.record.config.restart, at: BootClock.now())
                {
                case .restart(let pause):
                    verdict = .restart(after: pause)
                    row.record.state = .starting
                case .stop(let state):
                    row.record.state = state
                    row.goal = row.record.config.autoDestroy ? .destroyed : .stopped
                }
            }
            let isRestarting = verdict != .rest
            row.add(
                .make(
                    .exit, status: row.record.state, source: .roostd,
                    exit: .init(
                        exitCode: Int(exit.code), signal: exit.signal.map(Int.init), oomKilled: exit.oomKilled,
                        requestedStop: wasRequested, restarting: isRestarting)))
        }
        return verdict
    }

    func concludeFailedLaunch(_ machine: MachineID, attempt: String, why: String) throws(Refusal) -> ExitVerdict {
        var verdict = ExitVerdict.rest
        try update(machine) { row throws(Refusal) in
            row.concludedAttempt = attempt
            guard row.goal == .started else { return }
            let exit = MachineExit(code: 255, signal: nil, oomKilled: false)
            switch row.restarts.decide(after: exit, policy: row.record.config.restart, at: BootClock.now()) {
            case .restart(let pause): verdict = .restart(after: pause)
            case .stop:
                row.record.state = .failed
                row.goal = .stopped
            }
            row.add(
                .make(.failure, status: row.record.state, source: .roostd, message: String(why.prefix(1000))))
        }
        return verdict
    }

    func noteStopped(_ machine: MachineID) throws(Refusal) {
        try update(machine) { row throws(Refusal) in
            guard row.goal == .stopped, row.record.state != .failed else { return }
            row.record.state = .stopped
        }
    }

    func noteDestroyed(_ machine: MachineID) throws(Refusal) {
        var row = try requireRow(machine)
        guard row.record.state != .destroyed else { return }
        row.record.state = .destroyed
        row.record.updatedAt = WallClock.milliseconds()
        row.add(.make(.destroy, status: .destroyed, source: .roostd))
        let freed = volumeRows.values.filter { $0.attachedMachine == machine }.map { volume in
            var volume = volume
            volume.attachedMachine = nil
            return volume
        }
        try save(machines: [row], volumes: freed)
    }

    nonisolated func environment(of record: MachineRecord) -> [String: String] {
        StandardEnvironment.make(for: record)
    }

    // MARK: - Gates

    static let postgresPort: UInt16 = 5432

    /// Opens or closes a member's service port towards edges. In force when the call returns.
    public func setGate(_ machine: MachineID, isOpen: Bool) async throws(Refusal) {
        try update(machine) { row throws(Refusal) in
            guard row.record.owner != nil else {
                throw Refusal(.failedPrecondition, "machine \(machine) has no gate")
            }
            row.isGateOpen = isOpen
        }
        await closeGates()
    }

    /// Tells the mesh which service ports are closed: those of all members that did not say they are open.
    func closeGates() async {
        let closed = machineRows.values
            .filter { $0.record.owner != nil && !$0.isGateOpen && $0.record.state != .destroyed }
            .map { ClosedPort(address: $0.record.address, port: Self.postgresPort) }
        do { try await mesh.setClosedPorts(closed.sorted { $0.address < $1.address }) } catch {
            logger.error("cannot set the gates", metadata: ["error": "\(error)"])
        }
    }
}
