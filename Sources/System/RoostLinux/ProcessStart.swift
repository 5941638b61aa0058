public import RoostModel

/// When a process began, by the kernel's account: no other process with its number has the same.
public enum ProcessStart {
    /// In clock ticks since boot. Nil: there is no such process, or only its exit status is left.
    public static func ticks(of process: Int32) -> UInt64? {
        guard process > 0, let bytes = try? DurableFile.read("/proc/\(process)/stat") else { return nil }
        // proc_pid_stat(5): the name, in parentheses, may contain anything; field 3 is the state, 22 the start.
        let text = String(decoding: bytes, as: UTF8.self)
        guard let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }

    /// The same on the clock of ``BootClock``, up to a tick early (10 ms).
    public static func moment(of process: Int32) -> Moment? {
        ticks(of: process).map(BootClock.moment)
    }
}
