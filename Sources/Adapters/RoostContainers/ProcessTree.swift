import CLinux
import Glibc
import RoostLinux
import RoostModel

/// A process and all that it has begun.
enum ProcessTree {
    /// A tree that grows faster than it can be ended is beyond us; its machine can still be killed.
    static let roundsMax = 200
    /// Each round looks at all processes of the host, and its machines decide how many those are.
    static let timeMax = Duration.seconds(10)
    private static let pauseMicroseconds: UInt32 = 5000

    /// Ends the tree of a process that adopts its orphans (`tini -s`). It is stopped first and ended last: as long as
    /// it is there, no descendant gets a parent outside of the tree. On a thread that may wait.
    static func end(
        _ root: ProcessIdentity, within time: Duration = timeMax, living: (Int32) -> [Int32] = descendants
    ) {
        let end = BootClock.now() + time
        _ = try? root.signal(SIGSTOP)
        for _ in 0..<roundsMax where BootClock.now() < end {
            let living = living(root.pid)
            if living.isEmpty { break }
            for pid in living { kill(pid, SIGKILL) }
            usleep(pauseMicroseconds)
        }
        _ = try? root.signal(SIGKILL)
    }

    /// Those that are not merely waiting to be reaped.
    static func descendants(of root: Int32) -> [Int32] {
        var children: [Int32: [(pid: Int32, isAlive: Bool)]] = [:]
        for name in (try? FolderListing.names(in: "/proc")) ?? [] {
            guard let pid = Int32(name), let bytes = try? DurableFile.read("/proc/\(pid)/stat") else { continue }
            // proc_pid_stat(5): after the name in parentheses the state, then the parent.
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.lastIndex(of: ")") else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ", maxSplits: 2)
            guard fields.count > 2, let parent = Int32(fields[1]) else { continue }
            children[parent, default: []].append((pid, fields[0] != "Z" && fields[0] != "X"))
        }
        var living: [Int32] = []
        var pending = [root]
        while let parent = pending.popLast() {
            for child in children[parent] ?? [] {
                pending.append(child.pid)
                if child.isAlive { living.append(child.pid) }
            }
        }
        return living
    }
}
