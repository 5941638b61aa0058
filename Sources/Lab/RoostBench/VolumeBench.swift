import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// Writes of 8 kB that are each on the disk before the next: on a volume that a machine has, against a plain folder on
/// the same disk. Both files are there in full before the first round.
struct VolumeBench: Sendable {
    private let planet: LabPlanet
    private let host: LabHost
    private let site: BenchSite
    private let api: RoostAPIClient
    private let progress: LabPlanet.Progress

    private static let startMax = Duration.seconds(60)
    private static let goal = 0.9

    init(_ planet: LabPlanet, _ progress: @escaping LabPlanet.Progress) {
        self.planet = planet
        host = planet.plan.hosts[0]
        site = BenchSite(planet, host.name.text)
        api = planet.api(of: host.name)
        self.progress = progress
    }

    func run(_ rounds: Int) async throws -> [BenchRow] {
        progress("volumes: laying out the files")
        let app = try AppName("bench-volumes")
        let (machine, volume) = try await mount(app)
        let places = [
            SyncedWrites(site: site, folder: "\(planet.paths.hostRun(site.name))/volumes/\(volume)"),
            SyncedWrites(site: site, folder: site.folder + "/plain"),
        ]
        for place in places { try await place.layOut() }

        var results: [SyncedWrites.Flush: [[Double]]] = [:]
        for round in 0..<rounds {
            progress("volumes: round \(round + 1) of \(rounds)")
            for flush in SyncedWrites.Flush.allCases {
                for place in Statistics.order(of: places.count, inRound: round) {
                    let found = try await places[place].writesPerSecond(flush)
                    results[flush, default: [[], []]][place].append(found)
                }
            }
        }
        for place in places { try await place.remove() }
        try await api.destroyMachine(machine, of: app, force: true)
        return SyncedWrites.Flush.allCases.map { flush in
            let found = results[flush, default: [[], []]]
            return BenchRow(
                .volumes, "8 kB writes, \(flush.rawValue) each", .perSecond, found[0],
                against: .init(name: "plain folder", values: found[1]), goal: .init(.ratio, .atLeast, Self.goal))
        }
    }

    private var root: String { "\(site.planet.paths.imagesFolder)/bench-volumes" }

    /// A volume is mounted while a machine has it.
    private func mount(_ app: AppName) async throws -> (MachineID, VolumeID) {
        try BenchRoot.make(root)
        try await BenchRoot.make(app, on: api)
        let volume = try await api.createVolume(CreateVolumeRequest(name: "data", sizeGigabytes: 1), in: app)
        let config = BenchRoot.config(root, mounts: [MachineMount(volume: volume.id, path: "/data")])
        let machine = try await api.createMachine(CreateMachineRequest(config: config), in: app)
        _ = try await api.waitForMachine(machine.id, of: app, state: .started, timeout: Self.startMax)
        return (machine.id, volume.id)
    }
}
