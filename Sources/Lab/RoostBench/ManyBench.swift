import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// Many machines of one host: ordered at the same moment, and all of them after a power loss.
struct ManyBench: Sendable {
    private let planet: LabPlanet
    private let site: BenchSite
    private let api: RoostAPIClient
    private let progress: LabPlanet.Progress

    private static let burst = 50
    private static let boot = (machines: 200, createdAtOnce: 20, goalMilliseconds: 30_000.0)
    /// What the host must have for them: ``guest`` times the larger number, and some more.
    static let hostMemory = ByteCount.gibibytes(16)
    private static let guest = MachineGuest(memoryMebibytes: 64)
    private static let startMax = Duration.seconds(55)
    private static let bootMax = Duration.seconds(180)
    private static let removeMax = Duration.seconds(120)

    init(_ planet: LabPlanet, _ progress: @escaping LabPlanet.Progress) {
        let host = planet.plan.hosts[0]
        self.planet = planet
        site = BenchSite(planet, host.name.text)
        api = planet.api(of: host.name)
        self.progress = progress
    }

    func run(_ rounds: Int) async throws -> [BenchRow] {
        let root = RuntimeBundle(site).root
        try BenchRoot.make(root)
        let app = try AppName("bench-many")
        try await BenchRoot.make(app, on: api)
        var config = BenchRoot.config(root)
        config.guest = Self.guest
        // Else a power loss is a machine's end.
        config.restart = MachineRestart(policy: .always)
        var bursts: [Double] = []
        var boots: [Double] = []
        for round in 1...rounds {
            progress("many: \(Self.burst) at once, round \(round) of \(rounds)")
            bursts.append(try await burst(config, app))
            progress("many: \(Self.boot.machines) when the power fails, round \(round) of \(rounds)")
            boots.append(try await boot(config, app))
        }
        try await api.destroyApp(app)
        return [
            BenchRow(.many, "\(Self.burst) created at once, until the last one runs", .milliseconds, bursts, .worst),
            BenchRow(
                .many, "\(Self.boot.machines) after a power loss, until the last one runs", .milliseconds, boots,
                .worst, goal: .init(.figure, .atMost, Self.boot.goalMilliseconds)),
        ]
    }

    /// One that does not run is a failure of the whole part.
    private func burst(_ config: MachineConfig, _ app: AppName) async throws -> Double {
        let begin = BootClock.now()
        try await create(Self.burst, atOnce: Self.burst, config, app)
        let time = (BootClock.now() - begin).secondsAsDouble * 1000
        try await removeAll(app)
        return time
    }

    /// From the power's return (the host's process 1 starts) until the last machine runs again.
    private func boot(_ config: MachineConfig, _ app: AppName) async throws -> Double {
        try await create(Self.boot.machines, atOnce: Self.boot.createdAtOnce, config, app)
        let before = try await starts(app)
        guard before.count == Self.boot.machines else {
            throw LabError(.failed, "\(before.count) machines of \(Self.boot.machines) run before the power fails")
        }
        try await planet.killHost(site.name)
        let begin = BootClock.now()
        try await planet.startHost(site.name)
        let haveStarted: Bool? = try await poll(for: Self.bootMax, every: .milliseconds(100)) {
            guard let now = try? await starts(app) else { return nil }
            return before.allSatisfy { machine, count in now[machine].map { $0 > count } ?? false } ? true : nil
        }
        let time = (BootClock.now() - begin).secondsAsDouble * 1000
        guard haveStarted != nil else {
            let count = try await starts(app).count { machine, count in before[machine].map { count > $0 } ?? false }
            throw LabError(
                .failed, "\(count) machines of \(before.count) run \(Self.bootMax) after the power has returned")
        }
        try await removeAll(app)
        return time
    }

    // MARK: - Steps

    /// Returns when all of them run.
    private func create(_ count: Int, atOnce: Int, _ config: MachineConfig, _ app: AppName) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= atOnce { try await group.next() }
                group.addTask {
                    let machine = try await api.createMachine(CreateMachineRequest(config: config), in: app)
                    _ = try await api.waitForMachine(
                        machine.id, of: app, state: .started, timeout: Self.startMax)
                }
            }
            try await group.waitForAll()
        }
    }

    /// How often each machine that runs has begun to.
    private func starts(_ app: AppName) async throws -> [MachineID: Int] {
        var starts: [MachineID: Int] = [:]
        for machine in try await api.machines(of: app) where machine.state == .started {
            let events: [MachineEvent]
            // The host that is asked has those of its own alone.
            if let told = machine.events {
                events = told
            } else {
                events = try await api.events(of: machine.id, in: app)
            }
            starts[machine.id] = events.count { $0.type == .start && $0.status == .started }
        }
        return starts
    }

    private func removeAll(_ app: AppName) async throws {
        for machine in try await api.machines(of: app) {
            try await api.destroyMachine(machine.id, of: app, force: true)
        }
        let gone: Bool? = try await poll(for: Self.removeMax, every: .milliseconds(100)) {
            try await api.machines(of: app).isEmpty ? true : nil
        }
        guard gone != nil else {
            throw LabError(.failed, "machines of \(app) are not gone \(Self.removeMax) after their end was ordered")
        }
    }
}
