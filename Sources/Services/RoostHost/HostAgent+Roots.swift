import Glibc
import Logging
import RoostLinux
import RoostMachineLife
import RoostModel
import RoostRuntime

/// What machines write outside of volumes is on the host's own disk. ``RootBounds`` decides, here is measured and ended.
extension HostAgent {
    /// How often the free space is read.
    static let freeInterval = Duration.seconds(2)

    func watchRoots() async {
        while !Task.isCancelled {
            await lookAtRoots(diskFree)
            try? await Task.sleep(for: Self.freeInterval)
        }
    }

    static func freeSpace(of folder: String) async -> ByteCount? {
        await BlockingCall.run {
            var filesystem = statvfs()
            guard statvfs(folder, &filesystem) == 0 else { return nil }
            return ByteCount(bytes: Int64(filesystem.f_bavail) * Int64(filesystem.f_frsize))
        }
    }

    /// - Parameter readFree: nil where the disk gives no answer: then nobody can say that it is full.
    func lookAtRoots(_ readFree: @Sendable () async -> ByteCount?) async {
        guard !isSuperseded, let free = await readFree() else { return }
        let wasFull = rootBounds.isFull
        let isDue = rootBounds.see(free: free, at: BootClock.now())
        if rootBounds.isFull != wasFull { logFullness(free) }
        guard isDue else { return }
        let began = BootClock.now()
        let roots = await measureRoots()
        guard let freeNow = await readFree() else { return }
        for verdict in rootBounds.see(roots, free: freeNow, since: began, at: BootClock.now()) { await end(verdict) }
    }

    private func logFullness(_ free: ByteCount) {
        let metadata: Logger.Metadata = ["free": "\(free)", "reserve": "\(rootBounds.limits.reserve)"]
        if rootBounds.isFull {
            logger.error("the host's disk is nearly full; no new machine is taken", metadata: metadata)
        } else {
            logger.info("the host's disk has room again", metadata: metadata)
        }
    }

    /// One after the other: it is nobody's first business.
    private func measureRoots() async -> [RootBounds.Root] {
        var roots: [RootBounds.Root] = []
        for (machine, attempt) in machineRows.compactMapValues(\.life.phase.runningAttempt) {
            do throws(RuntimeError) {
                guard let use = try await runtime.rootUse(of: machine, namesMax: RootBounds.Limits.namesMax) else {
                    continue
                }
                roots.append(
                    RootBounds.Root(machine: machine, attempt: attempt, size: use.size, isWhole: use.isWhole))
            } catch { logger.error("a machine's root cannot be measured", metadata: ["error": "\(error)"]) }
        }
        return roots
    }

    private func end(_ verdict: RootBounds.Verdict) async {
        // Another launch has another root.
        guard !isSuperseded, machineRows[verdict.machine]?.life.phase.runningAttempt == verdict.attempt else { return }
        logger.warning(
            "a machine is ended for what its root takes",
            metadata: ["machine": "\(verdict.machine)", "reason": "\(verdict.words)"])
        do throws(Refusal) { try await kill(verdict.machine, because: verdict.words) } catch {
            logger.error(
                "a machine whose root takes too much cannot be ended",
                metadata: ["machine": "\(verdict.machine)", "error": "\(error)"])
        }
    }

    func requireDisk() throws(Refusal) {
        guard rootBounds.isFull else { return }
        throw Refusal(
            .insufficientCapacity,
            "host \(configuration.host) has less than \(rootBounds.limits.reserve) of its disk left and takes no new machine"
        )
    }
}

extension MachinePhase {
    /// The launch that has processes which may write.
    fileprivate var runningAttempt: String? {
        switch self {
        case .running(let attempt): attempt
        case .ending(let ending): ending.attempt
        case .created, .due, .launching, .settling, .resting, .destroying, .destroyed: nil
        }
    }
}
