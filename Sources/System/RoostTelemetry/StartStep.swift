public import Logging
public import RoostModel

/// The steps from a confirmed order to a running machine, so that everybody can see what a start spends its time on.
public enum StartStep: String, Sendable, CaseIterable {
    /// Waiting until few enough launches are worked on.
    case place
    /// Mounting the machine's volumes.
    case volumes
    /// Having the image, unpacked.
    case image
    /// The network namespace with its link, addresses and rules; beside ``prepare``.
    case attach
    /// Root, configuration and a watcher that waits for its word.
    case prepare
    /// The runtime makes namespaces, mounts and control group, and process 1 waits in them.
    case create
    /// Process 1 is let go.
    case enter
    /// The ledger's row says that it is launched, and later that it runs: twice for each start.
    case record

    /// Counts the step, and logs it at `debug`.
    public func note(_ took: Duration, of machine: MachineID, to logger: Logger) {
        Metric.machineStartStep.observe(took, rawValue)
        logger.debug(
            "step of a start",
            metadata: ["machine": "\(machine)", "step": "\(rawValue)", "took_us": "\(took / .microseconds(1))"])
    }
}
