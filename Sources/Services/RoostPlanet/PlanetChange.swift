public import RoostModel
public import RoostRecords

/// What changed in a host's copy of the planet, by key.
public enum PlanetChange: FeedChange {
    /// Anything may have changed: much was listed anew, or more changed than is named one by one.
    case all
    /// A part of the store is heard again, or is no longer heard.
    case connection
    case host(HostName)
    case machine(MachineID, on: HostName)
    case volume(VolumeID, on: HostName)
    case app(AppName)
    case address(String)
    case cluster(AppName, ClusterPart)
    case operation(PlanetOperationID)

    /// Whether it can concern a host, its machines or its volumes.
    public func concerns(_ name: HostName) -> Bool {
        switch self {
        case .all: true
        case .host(let host), .machine(_, let host), .volume(_, let host): host == name
        case .connection, .app, .address, .cluster, .operation: false
        }
    }

    /// Whether it can concern a cluster's records.
    public func concerns(cluster name: AppName) -> Bool {
        switch self {
        case .all: true
        case .cluster(let cluster, _): cluster == name
        case .connection, .host, .machine, .volume, .app, .address, .operation: false
        }
    }

    /// Whether it can concern an app's own record.
    public func concerns(app name: AppName) -> Bool {
        switch self {
        case .all: true
        case .app(let app): app == name
        case .connection, .host, .machine, .volume, .cluster, .address, .operation: false
        }
    }

    /// Whether it can concern who the hosts are and what they say of themselves.
    public var concernsHosts: Bool {
        switch self {
        case .all, .host: true
        case .connection, .machine, .volume, .app, .address, .cluster, .operation: false
        }
    }
}

/// What came of one event of the store.
public struct PlanetUpdate: Hashable, Sendable {
    public var changes: Set<PlanetChange> = []
    /// Keys whose records cannot be read or say what they may not, with the reason. What was last readable stays.
    public var unreadable: [String: String] = [:]

    public init() {}
}
