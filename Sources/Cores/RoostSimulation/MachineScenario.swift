/// What a simulated machine goes through. Everything else follows from the seed.
public struct MachineScenario: Sendable, CustomStringConvertible {
    public enum Fault: String, Sendable, CaseIterable {
        /// The host's program dies at any instruction and comes back.
        case crashAgent
        /// The machine's process ends by itself.
        case endProcess
        /// The process ends, and how is lost with its watcher.
        case loseProcess
        /// What the host asks of its runtime fails.
        case runtimeFails
        /// What the host asks of its runtime gets no answer for a while.
        case runtimeHangs
        /// The ledger takes no writes.
        case ledgerFails
        /// Images come slowly: minutes for a launch.
        case slowImages
        /// The next launch fails in a way that will not change.
        case launchRefused
        /// The host loses power and comes back; its clock begins anew.
        case rebootHost
        /// From here on the machine's processes ignore their stop signal.
        case ignoreSignals
    }

    /// Wrong ways of the world around the cores, for tests that show that the simulation notices them.
    public enum Breach: Sendable {
        /// An order is confirmed before it is written down.
        case confirmsBeforeWriting
    }

    public var seed: UInt64
    public var faults: [Fault]
    /// Faults and orders happen until then.
    public var chaosSeconds: Int
    /// What was ordered last must be so, this long after everything is healed.
    public var settledWithinSeconds: Int
    public var breach: Breach?

    public init(
        seed: UInt64, faults: [Fault] = Fault.allCases, chaosSeconds: Int = 60, settledWithinSeconds: Int = 90,
        breach: Breach? = nil
    ) {
        self.seed = seed
        self.faults = faults
        self.chaosSeconds = chaosSeconds
        self.settledWithinSeconds = settledWithinSeconds
        self.breach = breach
    }

    public var description: String { "seed \(seed), faults \(faults.map(\.rawValue).joined(separator: ","))" }
}

/// What one run came to.
public struct MachineRun: Sendable, CustomStringConvertible {
    public var scenario: MachineScenario
    public var violation: Violation?
    public var orders: Int
    public var launches: Int
    public var crashes: Int
    /// Filled when the run was asked to keep it.
    public var trace: [String]

    public var description: String {
        "\(scenario)\n\(violation.map { "\($0)" } ?? "no violation"), \(orders) orders, \(launches) launches, "
            + "\(crashes) crashes of the agent\n" + trace.joined(separator: "\n")
    }
}
