import Logging
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostRuntime
import RoostVolumes

/// Keeps one machine what its row says it shall be. Every step looks at what really is there first, so the keeper
/// can be cut off anywhere and started again.
struct MachineKeeper: Sendable {
    let machine: MachineID
    let agent: HostAgent

    /// What to do after a step.
    enum Next: Equatable {
        case again
        /// Until an order comes.
        case wait
        case waitFor(Duration)
        /// Until this launch ends or an order comes.
        case watch(attempt: String)
        case gone
    }

    enum Event: Sendable { case order, ended(attempt: String), timer }

    /// Between tries after an error of the host itself (disk, runtime).
    static let errorPauseFirst = Duration.milliseconds(200)
    static let errorPauseMax = Duration.seconds(15)

    func run() async {
        await withDiscardingTaskGroup { group in
            let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(8))
            group.addTask {
                for await order in agent.orders.subscribe() where order == machine { continuation.yield(.order) }
                continuation.finish()
            }
            var iterator = events.makeAsyncIterator()
            var watched: String?
            var pause = Self.errorPauseFirst
            steps: while !Task.isCancelled {
                var next: Next
                do {
                    next = try await step()
                    pause = Self.errorPauseFirst
                } catch {
                    agent.logger.error("machine step failed", metadata: ["machine": "\(machine)", "error": "\(error)"])
                    next = .waitFor(pause)
                    pause = min(pause * 2, Self.errorPauseMax)
                }
                switch next {
                case .gone: break steps
                case .again: continue
                case .wait: break
                case .waitFor(let duration):
                    group.addTask {
                        try? await Task.sleep(for: duration)
                        continuation.yield(.timer)
                    }
                case .watch(let attempt):
                    guard watched != attempt else { break }
                    watched = attempt
                    group.addTask {
                        _ = try? await agent.runtime.waitForExit(of: machine)
                        continuation.yield(.ended(attempt: attempt))
                    }
                }
                guard let event = await iterator.next() else { break }
                if case .ended = event { watched = nil }
            }
            group.cancelAll()
        }
    }

    private func step() async throws -> Next {
        guard let row = await agent.row(machine) else { return .gone }
        guard await !agent.isSuperseded else { return .wait }
        switch row.goal {
        case .started: return try await keepStarted(row)
        case .stopped: return try await keepStopped(row)
        case .destroyed: return try await destroy(row)
        // Another version's word: nothing is done to the machine until somebody who knows it is back.
        case .unknown: return .wait
        }
    }

    // MARK: - Started

    private func keepStarted(_ row: MachineRow) async throws -> Next {
        switch try await agent.runtime.inspect(machine) {
        case .running(let running):
            if running.attempt == row.restartAttempt {
                try await end(row, running)
                return .again
            }
            try await agent.noteStarted(machine, attempt: running.attempt)
            return .watch(attempt: running.attempt)
        case .exited(let exit, let attempt):
            return try await conclude(row, attempt: attempt, exit: exit)
        case .remains:
            try await agent.runtime.remove(machine)
            return .again
        case .absent:
            if row.record.state == .failed { return .wait }
            // A launch that was in progress, or running, when the host went down: it ended without a word.
            if let attempt = row.attempt, row.concludedAttempt != attempt, row.record.state == .started {
                let exit = MachineExit(code: 137, signal: 9, oomKilled: false)
                return try await conclude(row, attempt: attempt, exit: exit)
            }
            return try await launch(row)
        }
    }

    /// The process has ended: note it once, decide once, clear away, and go on as decided.
    private func conclude(_ row: MachineRow, attempt: String, exit: MachineExit) async throws -> Next {
        let verdict = try await agent.conclude(machine, attempt: attempt, exit: exit)
        try await agent.runtime.remove(machine)
        switch verdict {
        case .restart(let pause):
            // An order in the meantime cuts the pause short.
            return pause > .zero ? .waitFor(pause) : .again
        case .rest:
            return .again
        }
    }

    private func launch(_ row: MachineRow) async throws -> Next {
        let attempt = InstanceID.make()
        try await agent.beginLaunch(machine, attempt: attempt)
        do {
            let launch = try await prepare(row, attempt: attempt)
            let running = try await agent.runtime.launch(launch)
            try await agent.noteStarted(machine, attempt: running.attempt)
            return .watch(attempt: running.attempt)
        } catch {
            agent.logger.error("launch failed", metadata: ["machine": "\(machine)", "error": "\(error)"])
            let verdict = try await agent.concludeFailedLaunch(machine, attempt: attempt, why: "\(error)")
            try? await agent.runtime.remove(machine)
            switch verdict {
            case .restart(let pause): return .waitFor(max(pause, Self.errorPauseFirst))
            case .rest: return .again
            }
        }
    }

    private func prepare(_ row: MachineRow, attempt: String) async throws -> MachineLaunch {
        let record = row.record
        var disks: [MachineDisk] = []
        for mount in record.config.mounts {
            let folder = try await agent.volumeBackend.mount(mount.volume)
            disks.append(MachineDisk(.folder(path: folder), at: mount.path))
        }
        var hostLink: HostLink?
        if record.owner != nil {
            let folder = agent.configuration.machineFolder(machine)
            try DurableFile.makeFolder(folder)
            hostLink = .unix(folder: folder)
        }
        let link = MachineLink(machine: machine, network: record.network, address: record.address)
        let namespace = try await agent.mesh.attach(link)
        return MachineLaunch(
            id: machine, attempt: attempt, hostname: machine.text, image: try ImageReference(record.config.image),
            config: record.config, environment: agent.environment(of: record), disks: disks,
            hostLink: hostLink, network: MachineNetwork(.namespace(path: namespace), address: record.address))
    }

    // MARK: - Stopped and destroyed

    private func keepStopped(_ row: MachineRow) async throws -> Next {
        switch try await agent.runtime.inspect(machine) {
        case .running(let running):
            try await end(row, running)
            return .again
        case .exited(let exit, let attempt):
            _ = try await agent.conclude(machine, attempt: attempt, exit: exit)
            try await agent.runtime.remove(machine)
            return .again
        case .remains:
            try await agent.runtime.remove(machine)
            return .again
        case .absent:
            if row.record.state != .created {
                try await releaseVolumes(row)
                try await agent.noteStopped(machine)
            }
            return .wait
        }
    }

    /// Stop signal, then, when its time is over, the end of every process of the machine.
    private func end(_ row: MachineRow, _ running: RunningMachine) async throws {
        let config = row.record.config.stop
        let timeout = row.stopTimeoutMilliseconds.map { Duration.milliseconds($0) } ?? config.effectiveTimeout
        try await agent.runtime.signal(machine, row.stopSignal ?? config.effectiveSignal)
        if try await hasEnded(within: timeout) { return }
        try await agent.runtime.kill(machine)
        _ = try await hasEnded(within: .seconds(10))
    }

    private func hasEnded(within timeout: Duration) async throws -> Bool {
        let ended = await withTaskGroup(of: Bool.self) { group in
            group.addTask { (try? await agent.runtime.waitForExit(of: machine)) != nil }
            group.addTask {
                try? await Task.sleep(for: timeout)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        if ended { return true }
        if case .running = try await agent.runtime.inspect(machine) { return false }
        return true
    }

    private func releaseVolumes(_ row: MachineRow) async throws {
        for mount in row.record.config.mounts { try await agent.volumeBackend.unmount(mount.volume) }
    }

    private func destroy(_ row: MachineRow) async throws -> Next {
        if row.record.state == .destroyed { return .gone }
        if case .running(let running) = try await agent.runtime.inspect(machine) {
            try await end(row, running)
        }
        try await agent.runtime.kill(machine)
        try await agent.runtime.remove(machine)
        try await agent.mesh.detach(machine)
        try await releaseVolumes(row)
        try await agent.noteDestroyed(machine)
        return .gone
    }
}
