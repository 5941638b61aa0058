public import RoostModel
import RoostRecords
public import RoostStore

/// A part of the store that a host follows by a watch of its own. Every host follows what all need; whoever serves
/// clusters follows their records too, and their secrets only where they are used.
public enum PlanetPart: Hashable, Sendable {
    /// Hosts with their machines and volumes.
    case hosts
    case apps
    case addresses
    /// Work that takes longer than a call.
    case operations
    /// The records of all clusters, with what changes all the time.
    case clusters
    /// The records of one cluster.
    case cluster(AppName)
    /// The passwords of one cluster.
    case secrets(AppName)
    /// What edges show to clients, of all clusters.
    case identities

    /// What every host follows.
    public static let common: Set<PlanetPart> = [.hosts, .apps, .addresses, .operations]

    public var range: KeyRange {
        switch self {
        case .hosts: .prefix(StoreKeys.hosts)
        case .apps: .prefix(StoreKeys.apps)
        case .addresses: .prefix(StoreKeys.addresses)
        case .operations: .prefix(StoreKeys.operations)
        case .clusters: .prefix(StoreKeys.clusters)
        case .cluster(let name): .prefix(StoreKeys.cluster(name))
        case .secrets(let name): .key(StoreKeys.secrets(name))
        case .identities: .prefix(StoreKeys.identities)
        }
    }

    /// Whether a key is of this part.
    func has(_ key: StoreKey) -> Bool {
        switch (self, key) {
        case (.hosts, .host), (.hosts, .generation), (.hosts, .machine), (.hosts, .volume): true
        case (.apps, .app), (.addresses, .address), (.clusters, .cluster), (.identities, .identity): true
        case (.operations, .operation): true
        case (.cluster(let own), .cluster(let name, _)), (.secrets(let own), .secrets(let name)): own == name
        case (.hosts, _), (.apps, _), (.addresses, _), (.operations, _), (.clusters, _), (.cluster, _), (.secrets, _),
            (.identities, _):
            false
        }
    }

    /// Whether everything of another part is of this one.
    func has(_ part: PlanetPart) -> Bool {
        switch (self, part) {
        case (.clusters, .cluster): true
        case (.hosts, _), (.apps, _), (.addresses, _), (.operations, _), (.clusters, _), (.cluster, _), (.secrets, _),
            (.identities, _):
            self == part
        }
    }
}

extension PlanetPart {
    /// What is said of a cluster may be that another member leads; the rest changes by people's hands.
    var notice: WatchNotice {
        switch self {
        case .clusters, .cluster, .secrets, .identities: .soon
        case .hosts, .apps, .addresses, .operations: .late
        }
    }

    /// Its changes say nothing of how far a cluster's other records are known.
    var isSecret: Bool {
        switch self {
        case .secrets, .identities: true
        case .hosts, .apps, .addresses, .operations, .clusters, .cluster: false
        }
    }
}
