import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostTelemetry
import RoostWire

/// From the order to make a machine until it runs, against the bare OCI runtime and against podman: the same root
/// and the same command, on the same host, everything cached.
struct MachineBench: Sendable {
    private let site: BenchSite
    private let api: RoostAPIClient
    private let progress: LabPlanet.Progress

    private static let rounds = (warmUp: 2, patience: Duration.seconds(30))
    private static let goal = (ratio: 1.25, milliseconds: 60.0, podmanRatio: 1.0 / 3)

    init(_ planet: LabPlanet, _ progress: @escaping LabPlanet.Progress) {
        let host = planet.plan.hosts[0]
        site = BenchSite(planet, host.name.text)
        api = planet.api(of: host.name)
        self.progress = progress
    }

    func run(_ rounds: Int) async throws -> [BenchRow] {
        progress("machines: the same root for Roost, runc and podman")
        let app = try AppName("bench-machines")
        let bundle = RuntimeBundle(site)
        try BenchRoot.make(bundle.root)
        try await BenchRoot.make(app, on: api)
        let first = try await create(app, bundle)
        try bundle.copy(of: first)
        try await destroy(first, app)
        let podman = Podman(site)
        defer { podman.leave() }
        try await podman.load(bundle.root)

        var times: [[Double]] = [[], [], []]
        var steps: [StartStep: [Double]] = [:]
        for round in 0..<(rounds + Self.rounds.warmUp) {
            let isWarm = round >= Self.rounds.warmUp
            if isWarm { progress("machines: round \(round - Self.rounds.warmUp + 1) of \(rounds)") }
            var machine: MachineID?
            for contender in Statistics.order(of: times.count, inRound: round) {
                let time: Double
                switch contender {
                case 0:
                    let before = try await trace()
                    let begin = BootClock.now()
                    machine = try await create(app, bundle)
                    time = (BootClock.now() - begin).secondsAsDouble * 1000
                    let took = try await trace().milliseconds(since: before)
                    if isWarm { for (step, time) in took { steps[step, default: []].append(time) } }
                case 1: time = try await bundle.start()
                default: time = try await podman.start(BenchRoot.command)
                }
                if isWarm { times[contender].append(time) }
            }
            // All at the end: what the kernel still clears away must not fall upon the next one only.
            if let machine { try await destroy(machine, app) }
            try await bundle.remove()
            try await podman.remove()
        }
        try await api.destroyApp(app)
        return [
            BenchRow(
                .machines, "create to running", .milliseconds, times[0],
                against: .init(name: "runc run", values: times[1]), goal: .init(.ratio, .atMost, Self.goal.ratio)),
            BenchRow(
                .machines, "create to running", .milliseconds, times[0],
                goal: .init(.figure, .atMost, Self.goal.milliseconds)),
            BenchRow(
                .machines, "create to running", .milliseconds, times[0],
                against: .init(name: "podman run", values: times[2]),
                goal: .init(.ratio, .atMost, Self.goal.podmanRatio)),
        ]
            + StartStep.allCases.compactMap { step in
                steps[step].map { BenchRow(.machines, "of which \(step.rawValue)", .milliseconds, $0) }
            }
    }

    /// What the host has counted so far.
    private func trace() async throws -> StartTrace {
        StartTrace(exposition: String(decoding: try await api.sendForData(.get, "/metrics"), as: UTF8.self))
    }

    private func create(_ app: AppName, _ bundle: RuntimeBundle) async throws -> MachineID {
        let config = BenchRoot.config(bundle.root)
        let machine = try await api.createMachine(CreateMachineRequest(config: config), in: app)
        _ = try await api.waitForMachine(machine.id, of: app, state: .started, timeout: Self.rounds.patience)
        return machine.id
    }

    private func destroy(_ machine: MachineID, _ app: AppName) async throws {
        try await api.destroyMachine(machine, of: app, force: true)
        let gone: Bool? = try await poll(for: Self.rounds.patience, every: .milliseconds(20)) {
            try await api.machine(machine, of: app).state == .destroyed ? true : nil
        }
        guard gone != nil else {
            throw LabError(.failed, "the machine \(machine) is not gone after its end was ordered")
        }
    }
}
