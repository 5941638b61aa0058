import Logging
import RoostLinux
import RoostMachineLife
import RoostMesh
public import RoostModel

/// Ports of owned machines that other hosts and edges may reach only while the owner says so. A port is closed with
/// every launch, and when what listens there has ended.
extension HostAgent {
    /// Between tries to set the gates.
    static let gatePauseFirst = Duration.milliseconds(100)
    static let gatePauseMax = Duration.seconds(2)

    /// What waits for the gates, and how far they are.
    struct GateBook {
        /// Counts the wishes; each is for the rows as they are then.
        var wished: UInt64 = 0
        /// Nil while nobody keeps the gates.
        var applied: UInt64?
        var waiting: [(wish: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// The number of the last word about each machine.
        private var words: [MachineID: UInt64] = [:]

        /// - Returns: false when a later word about this machine has come already.
        mutating func hears(_ sequence: UInt64?, of machine: MachineID, among machines: some Sequence<MachineID>)
            -> Bool
        {
            guard let sequence else { return true }
            if words[machine].map({ sequence < $0 }) == true { return false }
            if words[machine] == nil {
                // No more of them than there are machines.
                let present = Set(machines)
                words = words.filter { present.contains($0.key) }
            }
            words[machine] = sequence
            return true
        }

        mutating func finish(upTo wish: UInt64, inForce: Bool) {
            for waiter in waiting where waiter.wish <= wish { waiter.continuation.resume(returning: inForce) }
            waiting.removeAll { $0.wish <= wish }
        }
    }

    nonisolated func hasGates(_ record: MachineRecord) -> Bool { !gatedPorts(of: record).isEmpty }

    private nonisolated func gatedPorts(of record: MachineRecord) -> [UInt16] {
        record.owner.flatMap { gatedPorts[$0.kind] } ?? []
    }

    /// Opens or closes a port of a machine towards edges and other hosts. In force when the call returns. When it
    /// throws, the wish stands, and the agent goes on trying to put it in force.
    ///
    /// - Parameter sequence: grows from word to word; one that is overtaken by a later word is refused.
    public func setGate(
        _ machine: MachineID, port: UInt16, isOpen: Bool, sequence: UInt64? = nil
    ) async throws(Refusal) {
        try requireCurrent()
        let row = try requireRow(machine)
        guard gatedPorts(of: row.record).contains(port) else {
            throw Refusal(.failedPrecondition, "machine \(machine) has no gate at port \(port)")
        }
        guard gates.hears(sequence, of: machine, among: machineRows.keys) else {
            throw Refusal(.failedPrecondition, "machine \(machine) has said otherwise since")
        }
        var changed = row
        if isOpen {
            switch row.life.phase {
            case .launching, .running, .ending: changed.openPorts.insert(port)
            case .created, .due, .settling, .resting, .destroying, .destroyed:
                throw Refusal(
                    .failedPrecondition,
                    "machine \(machine) is \(row.record.state.rawValue): nothing listens at port \(port)")
            }
        } else {
            changed.openPorts.remove(port)
        }
        if changed != row {
            try save(machines: [changed])
            logger.info(
                isOpen ? "gate opened" : "gate closed",
                metadata: ["machine": "\(machine)", "port": "\(port)"])
        }
        try await putGatesInForce()
    }

    /// Returns when the mesh has the gates as the rows have them now.
    func putGatesInForce() async throws(Refusal) {
        gates.wished += 1
        let wish = gates.wished
        gateCalls.yield()
        var inForce = false
        if gates.applied != nil {
            inForce = await withCheckedContinuation { continuation in
                gates.waiting.append((wish, continuation))
            }
        }
        guard inForce else {
            throw Refusal(
                .outcomeUnknown,
                "the mesh of host \(configuration.host) does not take the gates of its ports now; it is tried again until it does"
            )
        }
    }

    /// Keeps the mesh's gates as the rows have them, until cancelled.
    func keepGates(_ calls: AsyncStream<Void>) async {
        gates.applied = 0
        var pause = Self.gatePauseFirst
        var iterator = calls.makeAsyncIterator()
        while !Task.isCancelled {
            let wish = gates.wished
            do {
                try await mesh.setClosedPorts(closedPorts())
                pause = Self.gatePauseFirst
                gates.applied = wish
                gates.finish(upTo: wish, inForce: true)
            } catch {
                logger.error("cannot set the gates", metadata: ["error": "\(error)"])
                gates.finish(upTo: wish, inForce: false)
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Self.gatePauseMax)
                continue
            }
            guard gates.wished == wish else { continue }
            guard await iterator.next(isolation: self) != nil else { break }
        }
        gates.applied = nil
        gates.finish(upTo: .max, inForce: false)
    }

    /// All gated ports that nobody has opened. Those of rows that cannot be read stay closed: nobody can open them.
    private func closedPorts() -> [ClosedPort] {
        let machines = machineRows.values.filter { $0.life.phase != .destroyed }
        let closed = machines.flatMap { row -> [ClosedPort] in
            gatedPorts(of: row.record).filter { !row.openPorts.contains($0) }
                .map { ClosedPort(address: row.record.address, port: $0) }
        }
        let unreadable = unreadableRows.compactMap(\.glimpse).flatMap { glimpse -> [ClosedPort] in
            (glimpse.owner.flatMap { gatedPorts[$0.kind] } ?? [])
                .map { ClosedPort(address: glimpse.address, port: $0) }
        }
        return (closed + unreadable).sorted { ($0.address, $0.port) < ($1.address, $1.port) }
    }
}
