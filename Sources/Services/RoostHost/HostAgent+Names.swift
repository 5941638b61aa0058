public import RoostModel

/// Machines that this host promised never to make, so that their names can go to others. The promise lasts as long as the
/// process: an order that was under way when it was given dies with the process.
struct RenouncedMachines {
    private var ids: [MachineID] = []

    /// Older promises are of orders that can no longer be under way.
    static let countMax = 1024

    mutating func add(_ machine: MachineID) {
        guard !ids.contains(machine) else { return }
        ids.append(machine)
        if ids.count > Self.countMax { ids.removeFirst(ids.count - Self.countMax) }
    }

    func contains(_ machine: MachineID) -> Bool { ids.contains(machine) }
}

extension HostAgent {
    /// Promises never to make the machine. False: it is here, or was.
    public func renounce(_ machine: MachineID) -> Bool {
        guard machineRows[machine] == nil else { return false }
        renounced.add(machine)
        return true
    }

    func refuseIfRenounced(_ order: MachineOrder) throws(Refusal) {
        guard renounced.contains(order.id) else { return }
        throw Refusal(.nameTaken, "the name \(order.name) went to another machine of app \(order.app) meanwhile")
    }

    /// What this host remembers of machines that are gone, and that nobody but their app owned.
    public func destroyedMachines() -> [MachineRecord] {
        machineRows.values.map(\.record).filter { $0.state == .destroyed && $0.owner == nil }
    }
}
