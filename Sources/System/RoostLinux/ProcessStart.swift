import Glibc
public import RoostModel

/// When a process began, by the kernel's account: no other process with its number has the same.
public enum ProcessStart {
    /// In clock ticks since boot. Nil: there is no such process, or only its exit status is left.
    /// - Throws: when the kernel was not heard, as where no file can be opened any more: nobody knows then.
    public static func ticks(of process: Int32) throws(SystemError) -> UInt64? {
        guard process > 0 else { return nil }
        let file = "/proc/\(process)/stat"
        let read: [UInt8]?
        do { read = try DurableFile.read(file) } catch {
            // It ended after the file was opened.
            guard error.code == ESRCH else { throw error }
            return nil
        }
        guard let bytes = read else { return nil }
        // proc_pid_stat(5): the name, in parentheses, may contain anything; field 3 is the state, 22 the start.
        let text = String(decoding: bytes, as: UTF8.self)
        guard let name = text.lastIndex(of: ")") else { throw SystemError("understand", file, code: EBADMSG) }
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 19, let ticks = UInt64(fields[19]) else {
            throw SystemError("understand", file, code: EBADMSG)
        }
        return fields[0] == "Z" || fields[0] == "X" ? nil : ticks
    }

    /// The same on the clock of ``BootClock``, up to a tick early (10 ms).
    public static func moment(of process: Int32) throws(SystemError) -> Moment? {
        try ticks(of: process).map(BootClock.moment)
    }
}
