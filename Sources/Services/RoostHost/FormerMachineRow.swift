import RoostMachineLife
import RoostModel

/// What the first version reads and writes of a machine's life: a goal, and the names of launches. Written beside the
/// life, so that a host can be taken back to that version; read where that version has written last.
struct FormerMachineRow: Codable {
    enum Goal: String, Codable { case started, stopped, destroyed }

    var goal: Goal
    var attempt: String?
    var restartAttempt: String?
    var concludedAttempt: String?
    var restarts: RestartHistory
    var stopSignal: String?
    var stopTimeoutMilliseconds: Int64?
    var isGateOpen: Bool

    enum CodingKeys: String, CodingKey, CaseIterable {
        case goal, attempt, restartAttempt, concludedAttempt, restarts, stopSignal, stopTimeoutMilliseconds, isGateOpen
    }

    init(_ life: MachineLife, isGateOpen: Bool) {
        restarts = life.restarts
        self.isGateOpen = isGateOpen
        switch life.phase {
        case .created, .settling, .resting: goal = .stopped
        case .due: goal = .started
        case .launching(let name), .running(let name):
            goal = .started
            attempt = name
        case .ending(let ending):
            attempt = ending.attempt
            stopSignal = ending.signal
            stopTimeoutMilliseconds = ending.timeout.milliseconds
            switch ending.then {
            case .rest: goal = .stopped
            case .launch:
                goal = .started
                restartAttempt = ending.attempt
            }
        case .destroying, .destroyed: goal = .destroyed
        }
    }

    func phase(of record: MachineRecord, _ events: [MachineEvent]) -> MachinePhase {
        switch goal {
        case .destroyed: record.state == .destroyed ? .destroyed : .destroying
        case .started: startedPhase(of: record)
        case .stopped: stoppedPhase(of: record, events)
        }
    }

    private func startedPhase(of record: MachineRecord) -> MachinePhase {
        guard let attempt else { return .due(.init(isFirst: true)) }
        if restartAttempt == attempt { return .ending(ending(attempt, then: .launch, record)) }
        if concludedAttempt == attempt { return .due(.init(isFirst: false)) }
        return record.state == .started ? .running(attempt: attempt) : .launching(attempt: attempt)
    }

    private func stoppedPhase(of record: MachineRecord, _ events: [MachineEvent]) -> MachinePhase {
        guard let attempt else { return record.state == .created ? .created : .settling(.calledOff) }
        if record.state == .failed {
            let why = events.first { $0.type == .failure }?.request?.message
            return .settling(.unlaunchable(why ?? "it failed"))
        }
        guard concludedAttempt == attempt else { return .ending(ending(attempt, then: .rest, record)) }
        let exit = events.first { $0.type == .exit }?.request?.exitEvent
        return .settling(
            exit.map {
                .ended(
                    MachineExit(
                        code: Int32(clamping: $0.exitCode), signal: $0.signal.map { Int32(clamping: $0) },
                        oomKilled: $0.oomKilled))
            } ?? .calledOff)
    }

    private func ending(
        _ attempt: String, then sequel: MachinePhase.Ending.Sequel, _ record: MachineRecord
    ) -> MachinePhase.Ending {
        MachinePhase.Ending(
            attempt: attempt, then: sequel, signal: stopSignal ?? record.config.stop.effectiveSignal,
            timeout: stopTimeoutMilliseconds.map { .milliseconds($0) } ?? record.config.stop.effectiveTimeout,
            since: .zero, isSignalled: false, hasRun: record.state == .stopping || record.state == .restarting)
    }
}
