/// Where each record lives in the store. One place, so that two parts never disagree on a key.
public enum StoreKeys {
    /// All that Roost keeps in the store but secrets. Hosts follow the parts of it that they need.
    public static let root = "/roost/"

    /// Of all hosts, and below each its machines and volumes.
    public static let hosts = "/roost/hosts/"
    /// ``HostRecord``; the host alone writes it.
    public static func host(_ host: HostName) -> String { hosts + host.text }
    /// The number that every change of the host's records is compared against.
    public static func generation(_ host: HostName) -> String { hosts + host.text + "/generation" }
    /// ``MachineRecord``, of hosts with ``Capability/smallRecords``; the host alone writes it.
    public static func machine(_ machine: MachineID, on host: HostName) -> String {
        hosts + host.text + "/machines/" + machine.text
    }
    /// ``VolumeRecord``, as ``machine(_:on:)``.
    public static func volume(_ volume: VolumeID, on host: HostName) -> String {
        hosts + host.text + "/volumes/" + volume.text
    }

    /// Of all apps.
    public static let apps = "/roost/apps/"
    /// ``AppRecord``. The key is what makes the name unique: it is only made when absent.
    public static func app(_ app: AppName) -> String { apps + app.text }

    /// Names of machines, by app.
    public static let machineNames = "/roost/machine-names/"
    /// The names of one app's machines.
    public static func machineNames(_ app: AppName) -> String { machineNames + app.text + "/" }
    /// One name.
    public static func machineName(_ app: AppName, _ name: String) -> String { machineNames(app) + name }

    /// Network names and their numbers; a number is never used again.
    public static let networks = "/roost/networks/"
    /// ``NetworkNumber``; made with the first app that names the network.
    public static func network(_ network: NetworkName) -> String { networks + network.text }
    /// ``NetworkNumber`` that was given last. Absent: none was.
    public static let networkCounter = "/roost/network-counter"

    /// Of all anycast addresses that are given away.
    public static let addresses = "/roost/ips/"
    /// ``IPRecord``; absent: the address is free.
    public static func address(_ address: IPv4Address) -> String { addresses + address.description }

    /// Of all Postgres clusters.
    public static let clusters = "/roost/clusters/"
    /// All records of one cluster: read, watched and removed at once.
    public static func cluster(_ name: AppName) -> String { clusters + name.text + "/" }
    /// ``ClusterSpec``; its absence is the absence of the cluster.
    public static func clusterSpec(_ name: AppName) -> String { cluster(name) + "spec" }
    /// ``ClusterRule``; changed only by compare-and-swap. Absent until the first member has initialised the cluster.
    public static func clusterRule(_ name: AppName) -> String { cluster(name) + "rule" }
    /// ``Heartbeat``; written only while the rule has a known revision.
    public static func clusterHeartbeat(_ name: AppName) -> String { cluster(name) + "heartbeat" }
    /// ``ClusterSecrets`` while a host is there that looks for them nowhere else; see ``secrets(_:)``.
    public static func clusterSecrets(_ name: AppName) -> String { cluster(name) + "secrets" }
    /// ``ClusterObstacle``; absent when nothing is in the way.
    public static func clusterObstacle(_ name: AppName) -> String { cluster(name) + "obstacle" }
    /// Of all members of the cluster.
    static func placements(_ name: AppName) -> String { cluster(name) + "placements/" }
    /// ``MemberPlacement``; absent: the member is still to be placed.
    public static func placement(_ name: AppName, _ member: MemberName) -> String { placements(name) + member.text }
    /// Of all members of the cluster.
    static func reports(_ name: AppName) -> String { cluster(name) + "reports/" }
    /// ``MemberReport``; the member alone writes it, through its host.
    public static func report(_ name: AppName, _ member: MemberName) -> String { reports(name) + member.text }

    /// Work that takes longer than a call.
    public static let operations = "/roost/operations/"
    /// One operation.
    public static func operation(_ id: PlanetOperationID) -> String { operations + id.text }

    /// Secrets, outside of everything that hosts follow without needing it.
    public static let secretsRoot = "/roost-secrets/"
    /// What the members of each cluster share.
    public static let secrets = "/roost-secrets/clusters/"
    /// ``ClusterSecrets``, for the hosts of the cluster's members.
    public static func secrets(_ name: AppName) -> String { secrets + name.text }
    /// What edges show to the clients of each cluster.
    public static let identities = "/roost-secrets/identities/"
    /// ``ClusterIdentity``, for edges.
    public static func identity(_ name: AppName) -> String { identities + name.text }

    /// Work that one host at a time does for all, held by a lease.
    static let duties = "/roost/duties/"
    /// The name of the host that has the duty now, under a lease of the store: absent when nobody has it.
    public static func duty(_ name: String) -> String { duties + name }
}
