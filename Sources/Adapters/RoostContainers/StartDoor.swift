import CLinux
import Glibc
import RoostLinux
import RoostModel

/// The door a created machine waits at: a FIFO in the runtime's state folder. All that `runc start` does is to read
/// one byte from it and remove it (libcontainer's `exec.fifo`, since runc 1.0), and reading it here saves a process
/// on the way from an order to a running machine.
struct StartDoor: Sendable {
    let path: String

    static let patience = Duration.seconds(5)
    private static let roundMilliseconds: Int32 = 100

    init(_ runtimeState: String) { path = runtimeState + "/exec.fifo" }

    /// Blocks.
    /// - Returns: false when there is no such door or nobody came through: then ask the runtime.
    func open(for process: ProcessIdentity) -> Bool {
        var file = stat()
        guard lstat(path, &file) == 0, file.st_mode & S_IFMT == S_IFIFO else { return false }
        let door = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard door >= 0 else { return false }
        defer { close(door) }
        let end = BootClock.now() + Self.patience
        while BootClock.now() < end {
            var waiting = pollfd(fd: door, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waiting, 1, Self.roundMilliseconds)
            var byte: UInt8 = 0
            if ready > 0, read(door, &byte, 1) == 1 {
                unlink(path)
                return true
            }
            // Only one that is seen to be gone is gone.
            if (try? process.isAlive) == false { return false }
        }
        return false
    }
}
