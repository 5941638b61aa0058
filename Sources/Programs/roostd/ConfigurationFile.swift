import Configuration
import Foundation
import RoostAnycast
import RoostHost
import RoostModel
import RoostPostgresControl

/// Reads the host's configuration: flags over environment (`ROOST_…`) over the file.
///
/// A scalar such as `mesh.listen_port` can be given as `--mesh-listen-port` or `ROOST_MESH_LISTEN_PORT`; the lists
/// of seeds and uplinks only in the file.
struct ConfigurationFile {
    let path: String
    private let reader: ConfigReader
    private let lists: Lists

    /// The parts that are lists of objects.
    private struct Lists: Decodable {
        struct Mesh: Decodable { var seeds: [HostConfiguration.Seed]? }
        struct Edge: Decodable { var uplinks: [EdgeUplink]? }
        var mesh: Mesh?
        var edge: Edge?
    }

    init(path: String, overrides: [String]) async throws {
        self.path = path
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw ConfigurationError(path: path, what: "cannot be read; give it with --config FILE")
        }
        do {
            lists = try JSONDecoder().decode(Lists.self, from: bytes)
            reader = ConfigReader(providers: [
                CommandLineArgumentsProvider(arguments: overrides),
                EnvironmentVariablesProvider().prefixKeys(with: "roost"),
                InMemoryProvider(name: path, values: try Self.scalars(of: bytes)),
            ])
        } catch {
            throw ConfigurationError(path: path, what: "is not valid JSON of the right shape: \(error)")
        }
    }

    /// The file's single values and lists of texts under their dotted keys. Lists of objects are no configuration
    /// values to swift-configuration; they are decoded as they are.
    private static func scalars(of bytes: Data) throws -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        func collect(_ object: Any, at path: [String]) {
            if let table = object as? [String: Any] {
                for (key, value) in table { collect(value, at: path + [key]) }
                return
            }
            let content: ConfigContent? =
                switch object {
                case let text as String: .string(text)
                case let texts as [String]: .stringArray(texts)
                case let number as NSNumber: isFlag(number) ? .bool(number.boolValue) : .int(number.intValue)
                default: nil
                }
            if let content { values[AbsoluteConfigKey(path)] = ConfigValue(content, isSecret: false) }
        }
        collect(try JSONSerialization.jsonObject(with: bytes), at: [])
        return values
    }

    /// JSON's `true` and `1` arrive as the same class.
    private static func isFlag(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }

    func hostConfiguration() throws -> HostConfiguration {
        do {
            return HostConfiguration(
                host: try HostName(try text("host")), region: try RegionCode(try text("region")),
                stateFolder: try text("state_dir"), runFolder: try text("run_dir"), capacity: try capacity(),
                cgroupParent: reader.string(forKey: "cgroup_parent", default: "/roost"),
                imageFolder: reader.string(forKey: "images.directory", default: "/var/lib/roost/images"),
                allowedImageFolders: try allowedImageFolders(),
                ownerImages: [
                    .postgres: reader.string(
                        forKey: "images.postgres", default: "oci:/var/lib/roost/postgres-image:17")
                ],
                store: try store(), mesh: try mesh(),
                api: .init(tcpPort: try port("api.tcp_port", default: 4280), tokenFile: try text("api.token_file")),
                anycastPrefixes: try prefixes(), edge: try edge())
        } catch let error as InvalidValue {
            throw ConfigurationError(path: path, what: error.description)
        }
    }

    private func allowedImageFolders() throws -> [String] {
        let folders = reader.stringArray(forKey: "images.allowed_directories", default: [])
        for folder in folders where !folder.hasPrefix("/") || folder.count < 2 || folder.hasSuffix("/") {
            throw ConfigurationError(
                path: path,
                what: "'images.allowed_directories' has '\(folder)'; use absolute paths, without a / at the end")
        }
        return folders
    }

    private func text(_ key: ConfigKey) throws -> String {
        guard let text = reader.string(forKey: key), !text.isEmpty else {
            throw ConfigurationError(path: path, what: "'\(key)' is missing")
        }
        return text
    }

    private func port(_ key: ConfigKey, default value: UInt16) throws -> UInt16 {
        let number = reader.int(forKey: key, default: Int(value))
        guard let port = UInt16(exactly: number), port > 0 else {
            throw ConfigurationError(path: path, what: "'\(key)' must be a port, 1 to 65535")
        }
        return port
    }

    private func capacity() throws -> HostCapacity {
        let cpus = try reader.requiredInt(forKey: "capacity.cpus")
        let memory = try reader.requiredInt(forKey: "capacity.memory_mb")
        let disk = try reader.requiredInt(forKey: "capacity.disk_gb")
        guard cpus > 0, memory > 0, disk > 0 else {
            throw ConfigurationError(path: path, what: "'capacity' must have positive cpus, memory_mb and disk_gb")
        }
        return HostCapacity(cpus: cpus, memory: .mebibytes(memory), disk: .gibibytes(disk))
    }

    private func store() throws -> HostConfiguration.StoreChoice {
        switch reader.string(forKey: "store.backend", default: "sqlite") {
        case "sqlite": return .sqlite
        case "etcd":
            let endpoints = reader.stringArray(forKey: "store.endpoints", default: [])
            guard !endpoints.isEmpty else {
                throw ConfigurationError(path: path, what: "'store.endpoints' must name etcd's members")
            }
            return .etcd(endpoints: endpoints, isMember: reader.bool(forKey: "store.member", default: false))
        case let other:
            throw ConfigurationError(path: path, what: "'store.backend' is '\(other)'; use sqlite or etcd")
        }
    }

    private func mesh() throws -> HostConfiguration.MeshSettings {
        let mtu = reader.int(forKey: "mesh.mtu", default: 1420)
        guard (1280...1420).contains(mtu) else {
            throw ConfigurationError(path: path, what: "'mesh.mtu' must be 1280 to 1420")
        }
        return .init(
            interface: reader.string(forKey: "mesh.interface", default: "roost0"),
            listenPort: try port("mesh.listen_port", default: 51820), endpoint: try text("mesh.endpoint"),
            probePort: try port("mesh.probe_port", default: 51821), mtu: mtu, seeds: lists.mesh?.seeds ?? [])
    }

    private func prefixes() throws -> [IPv4Prefix] {
        try reader.stringArray(forKey: "anycast.prefixes", default: []).map { try IPv4Prefix($0) }
    }

    private func edge() throws -> HostConfiguration.EdgeSettings? {
        guard let uplinks = lists.edge?.uplinks, !uplinks.isEmpty else { return nil }
        guard let localAS = UInt32(exactly: try reader.requiredInt(forKey: "edge.local_as")), localAS > 0 else {
            throw ConfigurationError(path: path, what: "'edge.local_as' must be an AS number")
        }
        return .init(
            localAS: localAS, routerID: try IPv4Address(try text("edge.router_id")), uplinks: uplinks,
            importsRoutes: reader.bool(forKey: "edge.imports_routes", default: false))
    }
}

struct ConfigurationError: Error, CustomStringConvertible {
    let path: String
    let what: String

    var description: String { "configuration \(path): \(what)" }
}
