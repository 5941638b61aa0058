import Foundation
import RoostAnycast
import RoostHost
import RoostModel
import RoostPostgresControl
import RoostSettings

extension HostConfiguration {
    /// What a host works with, from what it is told.
    init(_ settings: HostSettings) throws(InvalidValue) {
        let capacity = settings.capacity
        let mesh = settings.mesh
        var prefixes: [IPv4Prefix] = []
        for text in settings.anycast.prefixes { prefixes.append(try IPv4Prefix(text)) }
        self.init(
            host: settings.host, region: settings.region, stateFolder: settings.stateFolder,
            runFolder: settings.runFolder,
            capacity: HostCapacity(
                cpus: capacity.cpus, memory: .mebibytes(capacity.memoryMebibytes),
                disk: .gibibytes(capacity.diskGibibytes)),
            cgroupParent: settings.cgroupParent, imageFolder: settings.images.directory,
            allowedImageFolders: settings.images.allowedDirectories,
            ownerImages: [.postgres: settings.images.postgres],
            disk: DiskSettings(
                reserve: .gibibytes(settings.disk.reserveGibibytes),
                imageTime: .seconds(settings.images.keepHours * 3600),
                rootMax: .gibibytes(settings.disk.rootGibibytes)), store: Self.choice(settings.store),
            mesh: .init(
                interface: mesh.interface, listenPort: mesh.listenPort, endpoint: mesh.endpoint,
                probePort: mesh.probePort, mtu: mesh.mtu,
                seeds: mesh.seeds.map {
                    Seed(host: $0.host, publicKey: $0.publicKey, endpoint: $0.endpoint, probePort: $0.probePort)
                }), api: .init(tcpPort: settings.api.tcpPort, tokenFile: settings.api.tokenFile),
            anycastPrefixes: prefixes, edge: settings.edge.map(Self.edge))
    }

    private static func choice(_ store: HostSettings.Store) -> StoreChoice {
        switch store.backend {
        case .sqlite: .sqlite
        case .etcd: .etcd(endpoints: store.endpoints, isMember: store.member)
        }
    }

    private static func edge(_ edge: HostSettings.Edge) -> EdgeSettings {
        EdgeSettings(
            localAS: edge.localAS, routerID: edge.routerID,
            uplinks: edge.uplinks.map {
                EdgeUplink(
                    name: $0.name, neighbor: $0.neighbor, neighborAS: $0.neighborAS, local: $0.local,
                    password: $0.password, checksTTL: $0.checksTTL)
            }, importsRoutes: edge.importsRoutes)
    }
}

extension SettingsInForce {
    /// The file at the path, under environment and flags.
    init(path: String, flags: [String]) throws(SettingsError) {
        guard let file = FileManager.default.contents(atPath: path) else {
            throw SettingsError(path: path, problems: ["cannot be read; give it with --config FILE"])
        }
        try self.init(file: file, path: path, environment: ProcessInfo.processInfo.environment, flags: flags)
    }
}
