import CLinux
import Glibc
import Logging
import RoostLinux
import RoostModel

/// How often the kernel has killed a process of a machine for want of memory, and which of these kills its first process
/// has outlived: by the number alone nobody can tell whether such a kill was its end. Pure.
struct MemoryKills: Hashable, Sendable {
    struct Times: Hashable, Sendable {
        /// Between two looks at a machine that runs.
        var lookInterval = Duration.seconds(2)
        /// For a victim to be gone: the kernel takes its memory from it before anything else. What is still there then was
        /// no victim, and nothing ended so long afterwards by that kill.
        var patience = Duration.seconds(5)
    }

    private struct Look: Hashable, Sendable {
        var kills: Int
        var since: Moment
    }

    let times: Times
    private(set) var outlived: Int
    private var last: Look?

    init(outlived: Int, _ times: Times) {
        self.outlived = outlived
        self.times = times
    }

    /// The first process is there, and was when so many had been counted.
    /// - Returns: whether it has outlived more of them than was known.
    mutating func look(_ kills: Int, at now: Moment) -> Bool {
        guard let last, last.kills == kills else {
            last = Look(kills: kills, since: now)
            return false
        }
        guard kills > outlived, now - last.since >= times.patience else { return false }
        outlived = kills
        return true
    }

    /// Whether a machine whose first process was killed ended for want of memory.
    /// - Parameter sinceFirst: from the first of the kills to the end; nil: not known.
    static func ended(kills: Int, outlived: Int, sinceFirst: Duration?, _ times: Times) -> Bool {
        guard kills > outlived else { return false }
        // Nobody has looked since: there was no roostd, or not for long enough. When the first of several was says nothing
        // of the last.
        if kills == 1, let sinceFirst { return sinceFirst < times.patience }
        return true
    }
}

extension OCIRuntime {
    /// Until it has ended, or the task is cancelled; meanwhile it is written down which kills it has outlived.
    func awaitEnd(of process: ProcessIdentity, _ machine: MachineID) async throws(SystemError) -> Bool {
        let looking = Task { await lookAtMemory(of: process, machine) }
        let outcome: Result<Bool, SystemError>
        do { outcome = .success(try await ends.wait(for: process)) } catch { outcome = .failure(error) }
        looking.cancel()
        // The next launch has the same files.
        await looking.value
        return try outcome.get()
    }

    private func lookAtMemory(of process: ProcessIdentity, _ machine: MachineID) async {
        let (path, group) = (folders(machine).outlivedKills, cgroup(machine))
        var kills = MemoryKills(outlived: Self.outlivedKills(path), killTimes)
        while (try? await Task.sleep(for: killTimes.lookInterval)) != nil {
            // Counted first: whoever is there afterwards was so when it was counted.
            let counted = await BlockingCall.run { group.outOfMemoryKills() }
            guard (try? process.isAlive) == true, kills.look(counted, at: BootClock.now()) else { continue }
            do throws(SystemError) { try PlainFile.replace(Array("\(kills.outlived)".utf8), at: path) } catch {
                logger.error(
                    "cannot write down what a machine has outlived: its end may be said to be for want of memory",
                    metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        }
    }

    /// None where nothing was written down, or nothing that can be read.
    static func outlivedKills(_ path: String) -> Int {
        guard let bytes = try? DurableFile.read(path, bytesMax: 64) else { return 0 }
        return Int(String(decoding: bytes, as: UTF8.self)) ?? 0
    }

    /// From the first kill that conmon has seen to what it wrote of the end, by the clock of their file system.
    static func timeSinceFirstKill(_ mark: String, exit: String) -> Duration? {
        var (first, last) = (stat(), stat())
        guard stat(mark, &first) == 0, stat(exit, &last) == 0 else { return nil }
        return .seconds(last.st_mtim.tv_sec - first.st_mtim.tv_sec)
            + .nanoseconds(last.st_mtim.tv_nsec - first.st_mtim.tv_nsec)
    }
}
