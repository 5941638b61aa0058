import Logging
import RoostModel
import RoostRuntime
import RoostVolumes

/// What an adapter says of its own failure has command lines, paths of the host and the words of other programs in it.
/// That goes into the host's log; callers get what they can act on.
private let failures = Logger(label: "roost.agent")

extension Refusal {
    init(volume error: VolumeError) {
        let subject = error.volume.map { "volume \($0)" } ?? "the pool"
        switch error.code {
        case .notFound: self.init(.notFound, "\(subject) is not on this host")
        case .noSpace:
            failures.warning("no room for a volume", metadata: ["error": "\(error)"])
            self.init(
                .insufficientCapacity,
                "there is no room for \(subject) in the host's pool: destroy volumes or use another host")
        case .busy:
            failures.warning("a volume is in use", metadata: ["error": "\(error)"])
            self.init(.failedPrecondition, "\(subject) is in use: stop the machine that has it")
        case .invalid: self.init(.invalid, error.description)
        case .failed:
            failures.error("a volume's operation failed", metadata: ["error": "\(error)"])
            self.init(.failed, "\(error.operation) \(subject) failed on its host; the host's log says why")
        }
    }

    init(runtime error: RuntimeError) {
        switch error.code {
        case .notFound, .imageNotFound: self.init(.notFound, error.description)
        case .notRunning: self.init(.failedPrecondition, error.description)
        case .imageInvalid, .imageNotAllowed, .invalid: self.init(.invalid, error.description)
        case .deadlineExceeded: self.init(.deadlineExceeded, error.description)
        case .noSpace:
            failures.warning("no room for a machine", metadata: ["error": "\(error)"])
            self.init(.insufficientCapacity, "the host has no room left for \(error.subject)")
        case .failed:
            failures.error("a machine's operation failed", metadata: ["error": "\(error)"])
            self.init(.failed, "\(error.operation) \(error.subject) failed on its host; the host's log says why")
        }
    }
}

/// Why a launch failed, for the machine's events, which whoever may ask for the machine reads.
func reasonOfLaunch(_ error: any Error, of machine: MachineID) -> String {
    switch error {
    // Their words are for whoever gave the order.
    case let error as RuntimeError: return error.description
    case let error as VolumeError: return error.description
    case let refusal as Refusal where refusal.details == nil: return refusal.message
    default:
        failures.error("a launch failed", metadata: ["machine": "\(machine)", "error": "\(error)"])
        return "the host could not prepare it; the host's log says why"
    }
}
