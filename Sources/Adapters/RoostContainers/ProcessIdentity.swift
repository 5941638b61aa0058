import CLinux
import Glibc
import RoostLinux

/// A process for sure: its id and when it began, since ids are used again.
struct ProcessIdentity: Hashable, Sendable, Codable {
    var pid: Int32
    /// Clock ticks since boot.
    var startTicks: UInt64

    /// The process that has this id now; nil if there is none, or if only its exit status is left.
    /// - Throws: when that could not be seen.
    init?(pid: Int32) throws(SystemError) {
        guard let ticks = try ProcessStart.ticks(of: pid) else { return nil }
        self.pid = pid
        startTicks = ticks
    }

    /// The process whose id is in this file, if it lives.
    init?(file: String) throws(SystemError) {
        guard let pid = try ProcessNumber.read(file) else { return nil }
        try self.init(pid: pid)
    }

    var isAlive: Bool { get throws(SystemError) { try ProcessIdentity(pid: pid) == self } }

    /// Sends a signal unless the process is gone.
    /// - Returns: whether there was somebody to receive it.
    @discardableResult
    func signal(_ number: Int32) throws(SystemError) -> Bool {
        guard try isAlive else { return false }
        guard kill(pid, number) == 0 else {
            if errno == ESRCH { return false }
            throw SystemError("send signal \(number) to", "process \(pid)")
        }
        return true
    }
}
