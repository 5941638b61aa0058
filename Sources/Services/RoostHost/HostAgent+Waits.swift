import RoostLinux
import RoostMachineLife
public import RoostModel

/// Waiting for what becomes of a machine.
extension HostAgent {
    /// The longest wait of one call.
    public static let waitMax = Duration.seconds(60)

    /// Returns when the machine is in one of the states; throws at once when it has come to rest in another one, from
    /// which only an order could lead on.
    ///
    /// - Parameter instance: only this version of the machine is meant; nil: any.
    public nonisolated func wait(
        for id: MachineID, states: Set<MachineState>, instance: String? = nil, timeout: Duration
    ) async throws(Refusal) -> MachineRecord {
        let changes = signals.subscribe(to: id)
        let outcome = await withTaskGroup(of: Result<MachineRecord, Refusal>?.self) { group in
            group.addTask {
                if let verdict = await self.verdict(on: id, states, instance) { return verdict }
                for await _ in changes {
                    if let verdict = await self.verdict(on: id, states, instance) { return verdict }
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: min(timeout, Self.waitMax))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        if let outcome { return try outcome.get() }
        let present = await machine(id)?.record.state.rawValue ?? "unknown"
        let wanted = states.map(\.rawValue).sorted().joined(separator: " or ")
        throw Refusal(
            .deadlineExceeded,
            "deadline_exceeded: machine failed to reach desired state, \(wanted), currently \(present)")
    }

    private func verdict(
        on id: MachineID, _ states: Set<MachineState>, _ instance: String?
    ) -> Result<MachineRecord, Refusal>? {
        guard let row = machineRows[id] else {
            return .failure(Refusal(.notFound, "machine \(id) not found"))
        }
        if let instance, instance != row.record.instance {
            return .failure(
                Refusal(
                    .failedPrecondition,
                    "machine \(id) has no version '\(instance.prefix(40))': its version is \(row.record.instance)"))
        }
        if states.contains(row.record.state) { return .success(row.record) }
        guard row.life.phase.isAtRest else { return nil }
        let wanted = states.map(\.rawValue).sorted().joined(separator: " or ")
        return .failure(
            Refusal(
                .failedPrecondition,
                "machine \(id) is \(row.record.state.rawValue)\(row.life.phase.explanation) and will not be \(wanted) without an order"
            ))
    }
}

extension MachinePhase {
    /// Why it is at rest, as far as there is more to say than its state.
    var explanation: String {
        switch self {
        case .resting(.ended(let exit)): " (\(Self.words(for: exit)))"
        case .resting(.gaveUp(let exit)): " (it ended too often in a row, the last time with \(Self.words(for: exit)))"
        case .resting(.unlaunchable(let why)): " (it could not be launched: \(why))"
        case .resting(.calledOff), .created, .due, .launching, .running, .ending, .settling, .destroying, .destroyed:
            ""
        }
    }

    private static func words(for exit: MachineExit) -> String {
        let signal = exit.signal.map { ", signal \($0)" } ?? ""
        return "exit code \(exit.code)\(signal)\(exit.oomKilled ? ", out of memory" : "")"
    }
}
