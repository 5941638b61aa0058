import Logging
import RoostLinux
import RoostMachineLife
import RoostModel
import RoostTelemetry

/// What keepers found and what people ordered, applied to a machine's life and written down.
extension HostAgent {
    /// Tells the machine's life what its keeper found. What changed is durable when the next step is handed out.
    func tell(_ finding: MachineFinding, of machine: MachineID) -> KeeperLoop.Event {
        guard let row = machineRows[machine] else { return .told(.gone, order: 0) }
        let order = newestOrders[machine] ?? 0
        // An outdated ledger orders nothing; what runs is left alone.
        guard !isSuperseded else { return .told(.rest(until: nil), order: order) }
        noteFirstLook(finding, of: machine)
        var changed = row
        let turn = changed.life.next(
            after: finding, as: row.record.config, at: BootClock.now(), attempt: InstanceID.make())
        let allNews = turn.news.map { ownKills.explained($0, of: machine) }
        for news in allNews { changed.add(news) }
        if !changed.life.phase.mayServe { changed.openPorts = [] }
        let began = BootClock.now()
        do { try write(changed, over: row) } catch {
            logger.error(
                "a machine's change cannot be written to the ledger",
                metadata: ["machine": "\(machine)", "error": "\(error)"])
            return .notTold
        }
        ownKills.told(allNews, of: machine)
        if turn.isOfStart {
            StartStep.record.note(BootClock.now() - began, of: machine, to: logger)
        }
        for news in allNews { log(news, of: changed) }
        return .told(turn.step, order: order)
    }

    /// Takes an order on: durable, then told to the keeper.
    func take(
        _ order: LifeOrder, for machine: MachineID, by source: MachineEvent.Source = .user
    ) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        let row = try requireRow(machine)
        var changed = row
        do throws(OrderRefused) {
            for news in try changed.life.take(order, as: row.record.config, by: source, at: BootClock.now()) {
                changed.add(news)
            }
        } catch { throw Refusal(error, machine) }
        if try write(changed, over: row) {
            newestOrders[machine, default: 0] += 1
            logger.info("machine ordered", metadata: fields(of: changed).merging(["order": "\(order.verb)"]) { $1 })
            call(machine)
        }
        return machineRows[machine]?.record ?? changed.record
    }

    /// - Returns: whether anything has changed.
    @discardableResult
    private func write(_ changed: MachineRow, over row: MachineRow) throws(Refusal) -> Bool {
        guard changed != row else { return false }
        var changed = changed
        changed.record.state = changed.life.phase.state
        changed.record.updatedAt = WallClock.milliseconds()
        var freed: [VolumeRecord] = []
        if changed.life.phase == .destroyed {
            freed = volumeRows.values.filter { $0.attachedMachine == changed.record.id }.map { volume in
                var volume = volume
                volume.attachedMachine = nil
                return volume
            }
        }
        try save(machines: [changed], volumes: freed)
        return true
    }

    // MARK: - What is said of it

    private func fields(of row: MachineRow) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "machine": "\(row.record.id)", "app": "\(row.record.app)", "state": "\(row.life.phase.state.rawValue)",
        ]
        switch row.life.phase {
        case .launching(let attempt), .running(let attempt): metadata["attempt"] = "\(attempt)"
        case .ending(let ending): metadata["attempt"] = "\(ending.attempt)"
        case .created, .due, .settling, .resting, .destroying, .destroyed: break
        }
        return metadata
    }

    private func log(_ news: MachineNews, of row: MachineRow) {
        var metadata = fields(of: row)
        if let exit = news.exit {
            metadata["exit_code"] = "\(exit.exitCode)"
            metadata["requested"] = "\(exit.requestedStop)"
            metadata["restarting"] = "\(exit.restarting)"
        }
        if let message = news.message { metadata["reason"] = "\(message)" }
        if news.kind == .failure {
            logger.warning("machine failed to launch", metadata: metadata)
        } else if news.kind == .exit {
            logger.info("machine ended", metadata: metadata)
        } else {
            logger.info("machine \(news.status.rawValue)", metadata: metadata)
        }
    }

    private func noteFirstLook(_ finding: MachineFinding, of machine: MachineID) {
        guard case .seen(let observation) = finding, unseenMachines.remove(machine) != nil,
            case .running(let running) = observation
        else { return }
        logger.info(
            "machine taken over, it runs", metadata: ["machine": "\(machine)", "attempt": "\(running.attempt)"])
    }
}

extension MachineTurn {
    /// A launch begins, or runs.
    fileprivate var isOfStart: Bool {
        if case .launch = step { return true }
        return news.contains { $0.kind == .start }
    }
}

extension MachineRow {
    mutating func add(_ news: MachineNews) {
        let detail =
            news.exit == nil && news.message == nil
            ? nil : MachineEvent.Detail(exitEvent: news.exit, message: news.message)
        add(
            MachineEvent(
                id: InstanceID.make(), type: news.kind, status: news.status, source: news.source,
                timestamp: WallClock.milliseconds(), request: detail))
    }
}

extension Refusal {
    init(_ error: OrderRefused, _ machine: MachineID) {
        let state = error.state.rawValue
        let message =
            switch error.reason {
            case .cannotStart: "unable to start machine from current state: '\(state)'"
            case .cannotRestart:
                "unable to restart machine from current state: '\(state)'"
                    + (error.state == .stopped || error.state == .created ? ": start it instead" : "")
            case .cannotDestroy:
                "unable to destroy machine, not currently in a destroyable state ('\(state)'): stop it first or use force"
            }
        self.init(.failedPrecondition, message)
    }
}
