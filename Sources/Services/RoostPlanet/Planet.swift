import Foundation
public import RoostModel
public import RoostStore

/// Everything the store holds, as last heard: what every read of the API is served from.
public struct Planet: Hashable, Sendable, Codable {
    public var revision: Int64 = 0
    public var hosts: [HostName: HostRecord] = [:]
    public var apps: [AppName: AppRecord] = [:]
    public var addresses: [String: IPRecord] = [:]
    public var clusters: [AppName: ClusterRecords] = [:]

    public init() {}

    /// The records of one Postgres cluster.
    public struct ClusterRecords: Hashable, Sendable, Codable {
        public var spec: ClusterSpec?
        public var specRevision: Int64 = 0
        public var rule: ClusterRule?
        public var ruleRevision: Int64 = 0
        public var heartbeat: Heartbeat?
        public var secrets: ClusterSecrets?
        public var obstacle: ClusterObstacle?
        public var placements: [MemberName: MemberPlacement] = [:]
        public var reports: [MemberName: MemberReport] = [:]

        public init() {}

        var isEmpty: Bool {
            spec == nil && rule == nil && heartbeat == nil && secrets == nil && obstacle == nil && placements.isEmpty
                && reports.isEmpty
        }
    }

    /// Takes in what the store says. A record that cannot be read is passed over, and named in the result.
    public mutating func apply(_ event: WatchEvent) -> [String] {
        var unreadable: [String] = []
        switch event {
        case .interrupted: break
        case .listing(let listing):
            self = Planet()
            for entry in listing.entries where !put(entry) { unreadable.append(entry.key) }
            revision = listing.revision.number
        case .changes(let changes, let revision):
            for change in changes {
                switch change {
                case .put(let entry):
                    if !put(entry) { unreadable.append(entry.key) }
                case .delete(let key): delete(key)
                }
            }
            self.revision = revision.number
        }
        return unreadable
    }

    private mutating func put(_ entry: Entry) -> Bool {
        let data = Data(entry.value)
        func decode<Record: Decodable>(_ type: Record.Type) -> Record? {
            try? JSONDecoder().decode(type, from: data)
        }
        switch StoreKey(entry.key) {
        case .host(let name):
            guard let record = decode(HostRecord.self) else { return false }
            hosts[name] = record
        case .app(let name):
            guard let record = decode(AppRecord.self) else { return false }
            apps[name] = record
        case .address(let text):
            guard let record = decode(IPRecord.self) else { return false }
            addresses[text] = record
        case .cluster(let name, let part):
            return clusters[name, default: .init()].put(part, data: data, revision: entry.modified.number)
        case .other: break
        }
        return true
    }

    private mutating func delete(_ key: String) {
        switch StoreKey(key) {
        case .host(let name): hosts[name] = nil
        case .app(let name): apps[name] = nil
        case .address(let text): addresses[text] = nil
        case .cluster(let name, let part):
            clusters[name]?.delete(part)
            if clusters[name]?.isEmpty == true { clusters[name] = nil }
        case .other: break
        }
    }
}

/// A key of the store, taken apart.
enum StoreKey: Hashable {
    case host(HostName)
    case app(AppName)
    case address(String)
    case cluster(AppName, Part)
    case other

    enum Part: Hashable {
        case spec, rule, heartbeat, secrets, obstacle
        case placement(MemberName)
        case report(MemberName)
    }

    init(_ key: String) {
        self = Self.parse(key) ?? .other
    }

    private static func parse(_ key: String) -> StoreKey? {
        func rest(_ prefix: String) -> String? { key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : nil }
        if let text = rest(StoreKeys.hosts) { return (try? HostName(text)).map { .host($0) } }
        if let text = rest(StoreKeys.apps) { return (try? AppName(text)).map { .app($0) } }
        if let text = rest(StoreKeys.addresses) { return .address(text) }
        guard let text = rest(StoreKeys.clusters) else { return nil }
        let parts = text.split(separator: "/").map(String.init)
        guard let first = parts.first, let name = try? AppName(first) else { return nil }
        switch parts.dropFirst() {
        case ["spec"]: return .cluster(name, .spec)
        case ["rule"]: return .cluster(name, .rule)
        case ["heartbeat"]: return .cluster(name, .heartbeat)
        case ["secrets"]: return .cluster(name, .secrets)
        case ["obstacle"]: return .cluster(name, .obstacle)
        case let path where path.count == 2:
            guard let last = parts.last, let member = try? MemberName(last) else { return nil }
            if parts[1] == "placements" { return .cluster(name, .placement(member)) }
            if parts[1] == "reports" { return .cluster(name, .report(member)) }
            return nil
        default: return nil
        }
    }
}

extension Planet.ClusterRecords {
    mutating func put(_ part: StoreKey.Part, data: Data, revision: Int64) -> Bool {
        func decode<Record: Decodable>(_ type: Record.Type) -> Record? {
            try? JSONDecoder().decode(type, from: data)
        }
        switch part {
        case .spec:
            guard let record = decode(ClusterSpec.self) else { return false }
            spec = record
            specRevision = revision
        case .rule:
            guard let record = decode(ClusterRule.self) else { return false }
            rule = record
            ruleRevision = revision
        case .heartbeat:
            guard let record = decode(Heartbeat.self) else { return false }
            heartbeat = record
        case .secrets:
            guard let record = decode(ClusterSecrets.self) else { return false }
            secrets = record
        case .obstacle:
            guard let record = decode(ClusterObstacle.self) else { return false }
            obstacle = record
        case .placement(let member):
            guard let record = decode(MemberPlacement.self) else { return false }
            placements[member] = record
        case .report(let member):
            guard let record = decode(MemberReport.self) else { return false }
            reports[member] = record
        }
        return true
    }

    mutating func delete(_ part: StoreKey.Part) {
        switch part {
        case .spec:
            spec = nil
            specRevision = 0
        case .rule:
            rule = nil
            ruleRevision = 0
        case .heartbeat: heartbeat = nil
        case .secrets: secrets = nil
        case .obstacle: obstacle = nil
        case .placement(let member): placements[member] = nil
        case .report(let member): reports[member] = nil
        }
    }
}
