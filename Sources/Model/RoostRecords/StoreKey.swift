public import RoostModel

/// A key of the store, taken apart.
public enum StoreKey: Hashable, Sendable {
    /// ``HostRecord``.
    case host(HostName)
    /// The generation of everything that the host has published.
    case generation(HostName)
    /// ``MachineRecord``, of a host that keeps its machines in records of their own.
    case machine(MachineID, on: HostName)
    /// ``VolumeRecord``, likewise.
    case volume(VolumeID, on: HostName)
    /// ``AppRecord``.
    case app(AppName)
    /// ``IPRecord``. The text is not read as an address here: ``RecordBounds`` compares it with what the record says.
    case address(String)
    /// One of the records of a Postgres cluster.
    case cluster(AppName, ClusterPart)
    /// Work that takes longer than a call.
    case operation(PlanetOperationID)
    /// A cluster's secrets, apart from its other records.
    case secrets(AppName)
    /// What edges show to a cluster's clients.
    case identity(AppName)
    /// All else, also what a newer version keeps: left alone.
    case other

    /// Never fails: a key that breaks a rule on the way is ``other``.
    public init(_ key: String) { self = Self.parse(key) ?? .other }

    private static func parse(_ key: String) -> StoreKey? {
        if let text = key.after(StoreKeys.hosts) { return host(text) }
        if let text = key.after(StoreKeys.apps) { return (try? AppName(text)).map { .app($0) } }
        if let text = key.after(StoreKeys.addresses) { return .address(text) }
        if let text = key.after(StoreKeys.operations) { return (try? PlanetOperationID(text)).map { .operation($0) } }
        if let text = key.after(StoreKeys.clusters) { return cluster(text) }
        if let text = key.after(StoreKeys.secrets) { return (try? AppName(text)).map { .secrets($0) } }
        return key.after(StoreKeys.identities).flatMap { try? AppName($0) }.map { .identity($0) }
    }

    private static func host(_ text: String) -> StoreKey? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let first = parts.first, let name = try? HostName(first) else { return nil }
        switch parts.dropFirst() {
        case []: return .host(name)
        case ["generation"]: return .generation(name)
        case let path where path.count == 2 && path.first == "machines":
            return (try? MachineID(parts[2])).map { .machine($0, on: name) }
        case let path where path.count == 2 && path.first == "volumes":
            return (try? VolumeID(parts[2])).map { .volume($0, on: name) }
        default: return nil
        }
    }

    private static func cluster(_ text: String) -> StoreKey? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), let name = try? AppName(parts[0]),
            let part = ClusterPart(parts[1], parts.count == 3 ? parts[2] : nil)
        else { return nil }
        return .cluster(name, part)
    }
}

/// One record of a Postgres cluster.
public enum ClusterPart: Hashable, Sendable {
    /// What there is once for each cluster; RoostModel's `StoreKeys` says of each which record it is.
    case spec, rule, heartbeat, secrets, obstacle
    /// Where the member lives.
    case placement(MemberName)
    /// What the member says of itself.
    case report(MemberName)

    init?(_ word: String, _ member: String?) {
        if let member {
            guard let name = try? MemberName(member) else { return nil }
            switch word {
            case "placements": self = .placement(name)
            case "reports": self = .report(name)
            default: return nil
            }
            return
        }
        switch word {
        case "spec": self = .spec
        case "rule": self = .rule
        case "heartbeat": self = .heartbeat
        case "secrets": self = .secrets
        case "obstacle": self = .obstacle
        default: return nil
        }
    }
}

extension String {
    fileprivate func after(_ prefix: String) -> String? {
        utf8.starts(with: prefix.utf8) ? String(dropFirst(prefix.count)) : nil
    }
}
