/// Where the things of a lab are on this computer. All names carry the lab's name, so what belongs to it can be
/// found and removed whatever state it is in.
public struct LabPaths: Sendable, Hashable {
    public let name: String

    public static let stateRoot = "/var/lib/roost-lab"
    public static let runRoot = "/run/roost-lab"
    public static let namespaceRoot = "/run/netns"
    static let cgroupRoot = "/roost-lab"

    public init(name: String) { self.name = name }

    public var stateFolder: String { "\(Self.stateRoot)/\(name)" }
    public var runFolder: String { "\(Self.runRoot)/\(name)" }
    var lockFile: String { "\(Self.runRoot)/.\(name).lock" }

    /// What the lab is; written before anything is made.
    public var labFile: String { "\(stateFolder)/lab.json" }
    /// The bearer token of every host's API.
    public var tokenFile: String { "\(stateFolder)/token" }

    public var wanConfigFile: String { "\(runFolder)/wan.json" }
    public var wanSocket: String { "\(runFolder)/wan.sock" }
    static let wanSite = "wan"

    /// What a host keeps through a power loss.
    public func hostState(_ host: String) -> String { "\(stateFolder)/\(host)" }
    /// What it does not.
    public func hostRun(_ host: String) -> String { "\(runFolder)/\(host)" }
    public func apiSocket(_ host: String) -> String { "\(hostRun(host))/api.sock" }

    /// What is in here, machines of the lab may have as their root (`dir:`, `oci:`).
    public var imagesFolder: String { "\(stateFolder)/images" }

    /// Files that the lab makes for a site: scripts and configurations.
    public func files(_ site: String) -> String { "\(stateFolder)/etc/\(site)" }
    public func configFile(_ host: String) -> String { "\(files(host))/roostd.json" }
    public func logFile(_ site: String) -> String { "\(runFolder)/\(site).log" }

    /// Logs of a service of a host, newest in `current`.
    public func serviceLog(_ host: String, _ service: String) -> String {
        "\(hostState(host))/logs/\(service)"
    }

    /// No lab and no site has a dot in its name, so no lab's names begin with another's.
    var namespacePrefix: String { "roost.\(name)." }
    func namespaceName(_ site: String) -> String { namespacePrefix + site }
    public func namespace(_ site: String) -> String { "\(Self.namespaceRoot)/\(namespaceName(site))" }

    /// Below the root of each cgroup hierarchy.
    var cgroup: String { "\(Self.cgroupRoot)/\(name)" }
    public func cgroup(_ site: String) -> String { "\(cgroup)/\(site)" }
}
