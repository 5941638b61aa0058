import Logging
import RoostLinux
import RoostMachineLife
import RoostMesh
import RoostModel
import RoostRuntime
import RoostTelemetry
import RoostVolumes

/// Carries out what one machine's life asks for, step by step. What to do is decided by the cores: ``KeeperLoop`` says
/// which step and what breaks it off, ``MachineLife`` (by way of the agent) what follows from what was found.
struct MachineKeeper: Sendable {
    let machine: MachineID
    let agent: HostAgent
    /// The number of the machine's newest order. The subscription is older than the keeper: no order is missed.
    let calls: AsyncStream<UInt64>

    /// Of the words of an error that are told.
    static let reasonCharactersMax = 1000

    func run() async {
        await withDiscardingTaskGroup { group in
            // Holds the end of the one step that is being taken, and orders that were each written to the ledger.
            let (events, inbox) = AsyncStream.makeStream(of: KeeperLoop.Event.self)
            group.addTask {
                for await order in calls { inbox.yield(.called(order: order)) }
            }
            var iterator = events.makeAsyncIterator()
            var loop = KeeperLoop()
            var action: KeeperLoop.Action? = loop.begin()
            /// Of the step that is being taken; nil while it is one that only an order ends.
            var breakOff: AsyncStream<Void>.Continuation?
            keeping: while !Task.isCancelled {
                while let present = action {
                    action = nil
                    switch present {
                    case .ask(let finding):
                        let answer = await agent.tell(finding, of: machine)
                        action = loop.handle(answer, at: BootClock.now())
                    case .take(.rest(until: nil)): breakOff = nil
                    case .take(let step):
                        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
                        breakOff = continuation
                        group.addTask { inbox.yield(await take(step, unless: stream)) }
                    case .breakOff:
                        if let breakOff {
                            breakOff.finish()
                        } else {
                            action = loop.handle(.failed, at: BootClock.now())
                        }
                    case .end: break keeping
                    }
                }
                guard let event = await iterator.next() else { break }
                action = loop.handle(event, at: BootClock.now())
            }
            group.cancelAll()
        }
    }

    /// Takes the step; when it is broken off (the stream ends), cancels it and waits for what has come of it.
    private func take(_ step: MachineStep, unless brokenOff: AsyncStream<Void>) async -> KeeperLoop.Event {
        await withTaskGroup(of: KeeperLoop.Event?.self) { group in
            group.addTask { await take(step) }
            group.addTask {
                for await _ in brokenOff {}
                return nil
            }
            defer { group.cancelAll() }
            while let ended = await group.next() {
                if let event = ended { return event }
                group.cancelAll()
            }
            return .failed
        }
    }

    private func take(_ step: MachineStep) async -> KeeperLoop.Event {
        do {
            switch step {
            case .look: return .done(.seen(try await agent.runtime.inspect(machine)))
            case .launch(let attempt): return await launch(attempt)
            case .watch(let attempt, let end): return .done(try await watch(attempt, until: end))
            case .signal(let attempt, let signal):
                try await agent.runtime.signal(machine, signal)
                return .done(.signalled(attempt: attempt))
            case .kill:
                try await agent.runtime.kill(machine)
                return .done(.nothing)
            case .remove:
                try await agent.runtime.remove(machine)
                return .done(.nothing)
            case .release:
                try await releaseVolumes()
                return .done(.released)
            case .dismantle:
                try await dismantle()
                return .done(.dismantled)
            case .rest(let end):
                if let end { try await Task.sleep(for: max(end - BootClock.now(), .zero)) }
                return .done(.nothing)
            case .gone: return .done(.nothing)
            }
        } catch let error as RuntimeError where error.code == .notRunning {
            // It has ended meanwhile.
            return .done(.nothing)
        } catch {
            if !Task.isCancelled {
                agent.logger.error(
                    "a step failed and is tried again",
                    metadata: ["machine": "\(machine)", "step": "\(step)", "error": "\(error)"])
            }
            return .failed
        }
    }

    private func watch(_ attempt: String, until end: Moment?) async throws -> MachineFinding {
        guard let end else {
            return .seen(.exited(try await agent.runtime.waitForExit(of: machine), attempt: attempt))
        }
        return try await withThrowingTaskGroup(of: MachineFinding.self) { group in
            group.addTask { .seen(.exited(try await agent.runtime.waitForExit(of: machine), attempt: attempt)) }
            group.addTask {
                try await Task.sleep(for: max(end - BootClock.now(), .zero))
                return .nothing
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .nothing
        }
    }

    // MARK: - Launches

    private func launch(_ attempt: String) async -> KeeperLoop.Event {
        guard let row = await agent.row(machine) else { return .failed }
        do {
            // Closed before a process is there that could be reached.
            if agent.hasGates(row.record) { try await agent.putGatesInForce() }
        } catch {
            agent.logger.error(
                "a launch waits for its ports to be closed", metadata: ["machine": "\(machine)", "error": "\(error)"])
            return .failed
        }
        let asked = BootClock.now()
        do {
            let running = try await agent.places.withPlace {
                StartStep.place.note(BootClock.now() - asked, of: machine, to: agent.logger)
                return try await begin(row.record, attempt: attempt)
            }
            return .done(.seen(.running(running)))
        } catch {
            // Broken off by an order, or the agent ends: that is no failure of the machine.
            guard !Task.isCancelled else { return .failed }
            let isPermanent = (error as? RuntimeError)?.isPermanent ?? false
            return .done(
                .launchFailed(
                    attempt: attempt, why: String(reasonOfLaunch(error, of: machine).prefix(Self.reasonCharactersMax)),
                    isPermanent: isPermanent))
        }
    }

    /// A launch that has its place, measured from here.
    private func begin(_ record: MachineRecord, attempt: String) async throws -> RunningMachine {
        let began = BootClock.now()
        var isRunning = false
        defer {
            Metric.machineLaunch.observe(
                BootClock.now() - began, isRunning ? "ok" : Task.isCancelled ? "broken_off" : "failed")
        }
        let launch = try await prepare(record, attempt: attempt)
        let link = MachineLink(machine: machine, network: record.network, address: record.address)
        let running = try await agent.runtime.launch(launch) { () throws(RuntimeError) in try await attach(link) }
        isRunning = true
        return running
    }

    private func attach(_ link: MachineLink) async throws(RuntimeError) {
        let began = BootClock.now()
        do { try await agent.mesh.attach(link) } catch {
            agent.logger.error(
                "a machine's network cannot be made", metadata: ["machine": "\(machine)", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: "make the network of", subject: "machine \(machine)",
                cause: "the host's log says why")
        }
        Metric.machineAttach.observe(BootClock.now() - began)
        StartStep.attach.note(BootClock.now() - began, of: machine, to: agent.logger)
    }

    private func prepare(_ record: MachineRecord, attempt: String) async throws -> MachineLaunch {
        var disks: [MachineDisk] = []
        let mounting = BootClock.now()
        for mount in record.config.mounts {
            let began = BootClock.now()
            let attachment = try await agent.volumeBackend.mount(mount.volume)
            Metric.volumeMount.observe(BootClock.now() - began)
            disks.append(MachineDisk(attachment, at: mount.path))
        }
        if !disks.isEmpty { StartStep.volumes.note(BootClock.now() - mounting, of: machine, to: agent.logger) }
        var hostLink: HostLink?
        if record.owner != nil {
            let folder = agent.configuration.machineFolder(machine)
            try await BlockingCall.run { () throws(SystemError) in try DurableFile.makeFolder(folder) }
            hostLink = .unix(folder: folder)
        }
        return MachineLaunch(
            id: machine, attempt: attempt, hostname: machine.text, image: try ImageReference(record.config.image),
            config: record.config, environment: StandardEnvironment.make(for: record), disks: disks,
            hostLink: hostLink,
            network: MachineNetwork(agent.mesh.attachment(of: machine), address: record.address))
    }

    // MARK: - Clearing away

    private func releaseVolumes() async throws {
        guard let row = await agent.row(machine) else { return }
        for mount in row.record.config.mounts { try await agent.volumeBackend.unmount(mount.volume) }
    }

    private func dismantle() async throws {
        try await agent.runtime.kill(machine)
        try await agent.runtime.remove(machine)
        try await agent.mesh.detach(machine)
        try await releaseVolumes()
        await agent.forgetOldLogs()
    }
}
