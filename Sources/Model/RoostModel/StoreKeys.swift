/// Where each record lives in the store. One place, so that two parts never disagree on a key.
public enum StoreKeys {
    public static let root = "/roost/"

    public static let hosts = "/roost/hosts/"
    public static func host(_ host: HostName) -> String { hosts + host.text }
    /// The number that every change of the host's records is compared against.
    public static func generation(_ host: HostName) -> String { hosts + host.text + "/generation" }
    public static func machine(_ machine: MachineID, on host: HostName) -> String {
        hosts + host.text + "/machines/" + machine.text
    }
    public static func volume(_ volume: VolumeID, on host: HostName) -> String {
        hosts + host.text + "/volumes/" + volume.text
    }

    public static let apps = "/roost/apps/"
    public static func app(_ app: AppName) -> String { apps + app.text }

    /// Names of machines, by app.
    public static let machineNames = "/roost/machine-names/"
    /// The names of one app's machines.
    public static func machineNames(_ app: AppName) -> String { machineNames + app.text + "/" }
    /// One name.
    public static func machineName(_ app: AppName, _ name: String) -> String { machineNames(app) + name }

    /// Network names and their numbers; a number is never used again.
    public static let networks = "/roost/networks/"
    public static func network(_ network: NetworkName) -> String { networks + network.text }
    public static let networkCounter = "/roost/network-counter"

    public static let addresses = "/roost/ips/"
    public static func address(_ address: IPv4Address) -> String { addresses + address.description }

    public static let clusters = "/roost/clusters/"
    public static func cluster(_ name: AppName) -> String { clusters + name.text + "/" }
    public static func clusterSpec(_ name: AppName) -> String { cluster(name) + "spec" }
    public static func clusterRule(_ name: AppName) -> String { cluster(name) + "rule" }
    public static func clusterHeartbeat(_ name: AppName) -> String { cluster(name) + "heartbeat" }
    public static func clusterSecrets(_ name: AppName) -> String { cluster(name) + "secrets" }
    public static func clusterObstacle(_ name: AppName) -> String { cluster(name) + "obstacle" }
    public static func placements(_ name: AppName) -> String { cluster(name) + "placements/" }
    public static func placement(_ name: AppName, _ member: MemberName) -> String { placements(name) + member.text }
    public static func reports(_ name: AppName) -> String { cluster(name) + "reports/" }
    public static func report(_ name: AppName, _ member: MemberName) -> String { reports(name) + member.text }

    /// Work that one host at a time does for all, held by a lease.
    public static let duties = "/roost/duties/"
    public static func duty(_ name: String) -> String { duties + name }
}
