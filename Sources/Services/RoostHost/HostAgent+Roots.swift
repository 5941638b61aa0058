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
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                if await lookAtDisk(diskFree) {
                    // Beside each other, and beside the next reading: no root waits for one that takes long.
                    for lane in RootBounds.Lane.allCases where busyRootLanes.insert(lane).inserted {
                        group.addTask { await self.measureRoots(in: lane) }
                    }
                }
                try? await Task.sleep(for: Self.freeInterval)
            }
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
    /// - Returns: whether it gave one, to a host that knows its machines.
    private func lookAtDisk(_ readFree: @Sendable () async -> ByteCount?) async -> Bool {
        guard !isSuperseded, let free = await readFree() else { return false }
        let wasFull = rootBounds.isFull
        let verdict = rootBounds.see(free: free, of: runningLaunches, at: BootClock.now())
        if rootBounds.isFull != wasFull { logFullness(free) }
        if let verdict { await end(verdict) }
        return true
    }

    /// All roots that are due, one lane after the other.
    func lookAtRoots(_ readFree: @Sendable () async -> ByteCount?) async {
        guard await lookAtDisk(readFree) else { return }
        for lane in RootBounds.Lane.allCases where busyRootLanes.insert(lane).inserted { await measureRoots(in: lane) }
        _ = await lookAtDisk(readFree)
    }

    private var runningLaunches: Set<RootBounds.Launch> {
        Set(
            machineRows.compactMap { (machine, row) in
                row.life.phase.runningAttempt.map { RootBounds.Launch(machine: machine, attempt: $0) }
            })
    }

    private func logFullness(_ free: ByteCount) {
        let metadata: Logger.Metadata = ["free": "\(free)", "reserve": "\(rootBounds.limits.reserve)"]
        if rootBounds.isFull {
            logger.error("the host's disk is nearly full; no new machine is taken", metadata: metadata)
        } else {
            logger.info("the host's disk has room again", metadata: metadata)
        }
    }

    /// One after the other, until none is due. Each is judged as it is measured.
    private func measureRoots(in lane: RootBounds.Lane) async {
        defer { busyRootLanes.remove(lane) }
        while !Task.isCancelled, !isSuperseded,
            let walk = rootBounds.next(lane, of: runningLaunches, at: BootClock.now())
        {
            let finding = await measureRoot(walk)
            if let verdict = rootBounds.see(finding, in: walk, at: BootClock.now()) { await end(verdict) }
        }
    }

    private func measureRoot(_ walk: RootBounds.Walk) async -> RootBounds.Finding? {
        do throws(RuntimeError) {
            let use = try await runtime.rootUse(
                of: walk.launch.machine,
                within: RootWalk(
                    namesMax: RootBounds.Limits.namesMax, openMax: RootBounds.Limits.openMax, time: walk.budget,
                    isIdle: !walk.isUrgent))
            return use.map {
                RootBounds.Finding(
                    size: $0.size, isWhole: $0.isWhole, hasTooManyOpen: $0.hasTooManyOpen, isDone: $0.isDone)
            }
        } catch {
            logger.error("a machine's root cannot be measured", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private func end(_ verdict: RootBounds.Verdict) async {
        let machine = verdict.launch.machine
        // Another launch has another root.
        guard !isSuperseded, machineRows[machine]?.life.phase.runningAttempt == verdict.launch.attempt else { return }
        logger.warning(
            "a machine is ended for what its root takes",
            metadata: ["machine": "\(machine)", "reason": "\(verdict.words)"])
        do throws(Refusal) { try await kill(machine, because: verdict.words) } catch {
            logger.error(
                "a machine whose root takes too much cannot be ended",
                metadata: ["machine": "\(machine)", "error": "\(error)"])
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
