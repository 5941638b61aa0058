import RoostHost
public import RoostModel
import RoostPlanet

/// A machine or a volume, and the host that has it.
public struct Held<Record: Sendable>: Sendable {
    public let record: Record
    public let host: HostName
}

/// What an app has: this host's part as its ledger has it, the other hosts' by the planet's indices, so that one app
/// costs what it is large and not what the planet is.
extension PlanetView {
    /// By id. What is in this host's ledger is this host's, whoever else claims it.
    public func machines(of app: AppName) async -> [Held<MachineRecord>] {
        machines(of: app, own: await agent.record())
    }

    /// - Parameter own: this host as it is now; for who asks of many apps.
    public func machines(of app: AppName, own: HostRecord) -> [Held<MachineRecord>] {
        let elsewhere = watcher.read { planet in
            planet.machines(of: app).compactMap { machine in
                planet.host(of: machine.id).map { Held(record: machine, host: $0) }
            }
        }
        return held(own.machines.filter { $0.app == app }, elsewhere, by: \.id)
    }

    /// As ``machines(of:)``.
    public func volumes(of app: AppName) async -> [Held<VolumeRecord>] {
        volumes(of: app, own: await agent.record())
    }

    /// As ``machines(of:own:)``.
    public func volumes(of app: AppName, own: HostRecord) -> [Held<VolumeRecord>] {
        let elsewhere = watcher.read { planet in
            planet.volumes(of: app).compactMap { volume in
                planet.host(of: volume.id).map { Held(record: volume, host: $0) }
            }
        }
        return held(own.volumes.filter { $0.app == app }, elsewhere, by: \.id)
    }

    private func held<Record, Kind: IDKind>(
        _ own: [Record], _ elsewhere: [Held<Record>], by id: (Record) -> ID<Kind>
    ) -> [Held<Record>] {
        let here = own.map { Held(record: $0, host: host) }
        let known = Set(own.map(id))
        return (here + elsewhere.filter { $0.host != host && !known.contains(id($0.record)) })
            .sorted { id($0.record) < id($1.record) }
    }
}
