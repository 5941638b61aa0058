import Glibc
import RoostClient
import RoostDemo
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// Carries a schedule out on a planet.
final class FaultRun: Sendable {
    /// What stands at a time.
    static let atOnceMax = 2
    private static let mendMax = Duration.seconds(180)
    private static let look = Duration.milliseconds(100)

    private struct State {
        /// Whose power, processes or edge are touched now.
        var busy: Set<String> = []
        /// Edges that were stopped and not started again.
        var edges: Set<String> = []
        /// The longest time that something stood still.
        var freezeMax = Duration.zero
    }

    /// Where a fault came to.
    private struct Place {
        var host: String?
    }

    private let demo: Demo
    private let schedule: FaultSchedule
    private let duration: Duration
    private let hasToEnd: @Sendable () -> Bool
    private let state = Mutex(State())

    private var planet: LabPlanet { demo.planet }

    init(_ demo: Demo, _ schedule: FaultSchedule, _ duration: Duration, hasToEnd: @escaping @Sendable () -> Bool) {
        self.demo = demo
        self.schedule = schedule
        self.duration = duration
        self.hasToEnd = hasToEnd
    }

    var freezeMax: Duration { state.withLock { $0.freezeMax } }

    /// Returns when the time is over and all faults are, or as soon as it has to end.
    func carryOut() async throws -> [CheckReport.Fault] {
        let begin = BootClock.now()
        let faults = try await carryOut(since: begin)
        try await wait(until: begin + duration)
        return faults
    }

    private func carryOut(since begin: Moment) async throws -> [CheckReport.Fault] {
        try await withThrowingTaskGroup(of: CheckReport.Fault.self) { group in
            var done: [CheckReport.Fault] = []
            var standing = 0
            for fault in schedule.faults {
                try await wait(until: begin + fault.at)
                while standing >= Self.atOnceMax, let over = try await group.next() {
                    done.append(over)
                    standing -= 1
                }
                guard !hasToEnd() else { break }
                standing += 1
                group.addTask { try await self.carryOut(fault, since: begin) }
            }
            for try await over in group { done.append(over) }
            return done.sorted { $0.atMilliseconds < $1.atMilliseconds }
        }
    }

    private func wait(until moment: Moment) async throws {
        while BootClock.now() < moment, !hasToEnd() { try await Task.sleep(for: Self.look) }
    }

    private func carryOut(_ fault: PlannedFault, since begin: Moment) async throws -> CheckReport.Fault {
        var record = CheckReport.Fault(
            what: fault.what, host: nil, atMilliseconds: (BootClock.now() - begin).milliseconds, lengthMilliseconds: 0,
            trouble: nil)
        let place: Place
        do {
            place = try await take(fault)
        } catch {
            try Task.checkCancellation()
            record.trouble = "left out: \(error)"
            demo.progress("\(fault.what) is left out: \(error)")
            return record
        }
        record.host = place.host
        defer { if let host = place.host { state.withLock { _ = $0.busy.remove(host) } } }
        do {
            try await inject(fault.kind, place.host ?? "")
            demo.progress(fault.what + (place.host.map { " (\($0))" } ?? ""))
            try await wait(until: BootClock.now() + fault.length)
            try await heal(fault.kind, place.host ?? "")
            if fault.length > .zero { demo.progress("  over: \(fault.what)") }
        } catch {
            try Task.checkCancellation()
            record.trouble = "\(error)"
            demo.progress("  \(fault.what): \(error)")
        }
        record.lengthMilliseconds = (BootClock.now() - begin).milliseconds - record.atMilliseconds
        if fault.isFreeze {
            let length = Duration.milliseconds(record.lengthMilliseconds)
            state.withLock { $0.freezeMax = max($0.freezeMax, length) }
        }
        return record
    }

    /// Finds the host, and takes it: one thing at a time is done to a host itself.
    private func take(_ fault: PlannedFault) async throws -> Place {
        let host: String
        switch fault.kind {
        case .killHost(let target), .freezeHost(let target), .killProcess(_, let target), .freezeProcess(_, let target):
            switch target {
            case .host(let name): host = name.text
            case .primary: host = try demo.host(ofLeader: try await demo.ask { try await $0.cluster(demo.cluster) })
            }
        case .stopEdge(let name): host = name.text
        case .cut, .loss, .delay: return Place(host: nil)
        }
        guard state.withLock({ $0.busy.insert(host).inserted }) else {
            throw LabError(.failed, "something else is done to \(host)")
        }
        return Place(host: host)
    }

    private func inject(_ kind: PlannedFault.Kind, _ host: String) async throws {
        switch kind {
        case .killHost: try await planet.killHost(host)
        case .freezeHost: try await planet.freezeHost(host)
        case .killProcess(let program, _): try planet.signal(SIGKILL, process: program.rawValue, on: host)
        case .freezeProcess(let program, _): try planet.signal(SIGSTOP, process: program.rawValue, on: host)
        case .stopEdge:
            _ = state.withLock { $0.edges.insert(host) }
            try await planet.setEdge(of: host, to: .stopped)
        case .cut(let a, let b, let isOneWay): try await planet.cut(a, b, isOneWay: isOneWay)
        case .loss(let a, let b, let percent, let isOneWay):
            try await planet.loss(a, b, percent: percent, isOneWay: isOneWay)
        case .delay(let a, let b, let milliseconds, let isOneWay):
            try await planet.delay(a, b, milliseconds: milliseconds, isOneWay: isOneWay)
        }
    }

    private func heal(_ kind: PlannedFault.Kind, _ host: String) async throws {
        switch kind {
        case .killHost: try await planet.startHost(host)
        case .freezeHost: try await planet.thawHost(host)
        case .killProcess: break
        case .freezeProcess(let program, _):
            // It may have been ended meanwhile, by who looks after it.
            _ = try? planet.signal(SIGCONT, process: program.rawValue, on: host)
        case .stopEdge:
            try await planet.setEdge(of: host, to: .started)
            _ = state.withLock { $0.edges.remove(host) }
        case .cut(let a, let b, let isOneWay), .loss(let a, let b, _, let isOneWay),
            .delay(let a, let b, _, let isOneWay):
            try await planet.heal(a, b, isOneWay: isOneWay)
        }
    }

    /// Mends what is still broken. Goes on when the caller was cancelled: nothing stays broken behind it.
    func mend() async throws {
        try await Task { try await self.mendAll() }.value
    }

    private func mendAll() async throws {
        let isWhole: Bool? = try await poll(for: Self.mendMax, every: .seconds(1)) { await isMended() ? true : nil }
        guard isWhole != nil else {
            throw LabError(
                .failed, "the lab cannot be mended",
                advice: "see 'roost lab status --name \(planet.plan.shape.name)'")
        }
    }

    private func isMended() async -> Bool {
        do {
            try await planet.healAll()
            for host in state.withLock({ $0.edges }) {
                try await planet.setEdge(of: host, to: .started)
                _ = state.withLock { $0.edges.remove(host) }
            }
            return try await planet.faults().isEmpty
        } catch { return false }
    }
}
