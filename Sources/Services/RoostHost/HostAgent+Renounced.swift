import Logging
import RoostLinux
public import RoostModel

extension HostAgent {
    /// Promises never to make the machine: the promise is durable before it is given. False: it is here, or was.
    public func renounce(_ machine: MachineID) throws(Refusal) -> Bool {
        try requireCurrent()
        try requireReadable(machine.text)
        guard machineRows[machine] == nil else { return false }
        try renounce([machine.text])
        return true
    }

    /// The same for a volume. Whoever asks while it is being made or removed waits, and then sees what has come of it.
    public func renounce(_ volume: VolumeID) async throws(Refusal) -> Bool {
        try requireCurrent()
        while await isAtWork(volume) {}
        try requireReadable(volume.text)
        guard volumeRows[volume] == nil else { return false }
        try renounce([volume.text])
        return true
    }

    /// Destroys the machine by force and waits until nothing of it is left; or promises never to make it: for those who
    /// order by ids of their own, and whose order to make it may still be on its way. So does the platform, and nobody else.
    ///
    /// - Returns: nil: there was none.
    public func takeBack(_ machine: MachineID, timeout: Duration) async throws(Refusal) -> MachineRecord? {
        if try renounce(machine) { return nil }
        _ = try destroy(machine, force: true, by: .roostd)
        return try await wait(for: machine, states: [.destroyed], timeout: timeout)
    }

    /// The same for a volume, which is refused while a machine has it.
    public func takeBack(_ volume: VolumeID) async throws(Refusal) -> VolumeRecord? {
        while try await !renounce(volume) {
            // Not found: a creation that was under way has failed meanwhile.
            do throws(Refusal) { return try await destroyVolume(volume) } catch {
                guard error.code == .notFound else { throw error }
            }
        }
        return nil
    }

    private func renounce(_ ids: [String]) throws(Refusal) {
        let new = renounced.new(ids)
        guard !new.isEmpty else { return }
        try ledger.renounce(new)
        remember(renounced: new)
    }

    /// These are in the ledger already.
    func remember(renounced ids: [String]) {
        let forgotten = renounced.add(ids)
        guard !forgotten.isEmpty else { return }
        do { try ledger.forget(renounced: forgotten) } catch {
            // They are forgotten by the next process that comes so far.
            logger.warning("cannot forget old ids of the ledger", metadata: ["error": "\(error)"])
        }
    }

    /// - Parameter thing: "machine" or "volume".
    func refuseIfRenounced(_ id: String, _ thing: String) throws(Refusal) {
        guard renounced.contains(id) else { return }
        throw Refusal(
            .failedPrecondition,
            "\(thing) \(id) was destroyed, or given up before it was made; an id is used once: order a new one")
    }

    /// What this host remembers of machines that are gone, and that nobody but their app owned.
    public func destroyedMachines() -> [MachineRecord] {
        machineRows.values.map(\.record).filter { $0.state == .destroyed && $0.owner == nil }
    }
}
