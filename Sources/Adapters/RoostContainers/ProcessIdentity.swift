import CLinux
import Glibc
import RoostLinux

/// A process for sure: its id and when it began, since ids are used again.
struct ProcessIdentity: Hashable, Sendable, Codable {
    var pid: Int32
    /// Clock ticks since boot.
    var startTicks: UInt64

    /// The process that has this id now; nil if there is none, or if only its exit status is left.
    init?(pid: Int32) {
        guard let ticks = ProcessStart.ticks(of: pid) else { return nil }
        self.pid = pid
        startTicks = ticks
    }

    var isAlive: Bool { ProcessIdentity(pid: pid) == self }

    /// Sends a signal unless the process is gone.
    /// - Returns: whether there was somebody to receive it.
    @discardableResult
    func signal(_ number: Int32) throws(SystemError) -> Bool {
        guard isAlive else { return false }
        guard kill(pid, number) == 0 else {
            if errno == ESRCH { return false }
            throw SystemError("send signal \(number) to", "process \(pid)")
        }
        return true
    }
}
