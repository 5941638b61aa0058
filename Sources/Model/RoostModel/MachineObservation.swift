/// What a look shows of a machine on its host.
public enum MachineObservation: Hashable, Sendable {
    /// Nothing of it is on this host.
    case absent
    /// Files of a launch that never became a process, or whose process is gone without a trace.
    case remains
    /// Process 1 runs.
    case running(RunningMachine)
    /// Process 1 of this launch has ended.
    case exited(MachineExit, attempt: String)
}

/// A machine whose process 1 runs.
public struct RunningMachine: Hashable, Sendable {
    /// Process 1, as the host numbers it.
    public var pid: Int32
    /// The launch that it came from.
    public var attempt: String

    /// What a look at the host's processes has found.
    public init(pid: Int32, attempt: String) {
        self.pid = pid
        self.attempt = attempt
    }
}

/// How a machine's process 1 has ended.
public struct MachineExit: Hashable, Sendable, Codable {
    /// What process 1 ended with. A shell's way of saying "signal n" is 128 + n, and a program may end with such a
    /// number too: by the code alone nobody can tell.
    public var code: Int32
    /// The signal that ended it, where it is known for sure.
    public var signal: Int32?
    /// The kernel ended process 1 for want of memory.
    public var oomKilled: Bool
    /// How many of the machine's processes the kernel has ended for want of memory in this launch.
    public var memoryKills: Int

    /// Nil for `signal`: that is not known, not that there was none.
    public init(code: Int32, signal: Int32?, oomKilled: Bool, memoryKills: Int = 0) {
        self.code = code
        self.signal = signal
        self.oomKilled = oomKilled
        self.memoryKills = memoryKills
    }

    enum CodingKeys: String, CodingKey {
        case code, signal
        case oomKilled = "oom_killed"
        case memoryKills = "memory_kills"
    }
}
