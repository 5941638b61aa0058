import FoundationEssentials
import RoostModel

/// The configuration `roostd` is started with, as its own reader takes it.
struct HostConfigText: Encodable {
    struct Capacity: Encodable {
        var cpus = 4
        var memoryMegabytes = 4096
        var diskGigabytes = 20

        enum CodingKeys: String, CodingKey {
            case cpus
            case memoryMegabytes = "memory_mb"
            case diskGigabytes = "disk_gb"
        }
    }

    struct Images: Encodable {
        var directory = "/var/lib/roost/images"
        var postgres = "oci:/var/lib/roost/postgres-image:17"
        var allowedDirectories: [String]

        enum CodingKeys: String, CodingKey {
            case directory, postgres
            case allowedDirectories = "allowed_directories"
        }
    }

    struct Store: Encodable {
        var backend: String
        var endpoints: [String]?
        var member: Bool?
    }

    struct Mesh: Encodable {
        var interface = LabPlan.meshInterface
        var listenPort = LabPlan.meshPort
        var endpoint: String
        var probePort = LabPlan.probePort
        var mtu = LabPlan.meshMTU
        var seeds: [Seed]

        enum CodingKeys: String, CodingKey {
            case interface, endpoint, mtu, seeds
            case listenPort = "listen_port"
            case probePort = "probe_port"
        }
    }

    struct Seed: Encodable {
        var host: HostName
        var publicKey: String
        var endpoint: String
        var probePort = LabPlan.probePort

        enum CodingKeys: String, CodingKey {
            case host, endpoint
            case publicKey = "public_key"
            case probePort = "probe_port"
        }
    }

    struct API: Encodable {
        var tcpPort = LabPlan.apiPort
        var tokenFile: String

        enum CodingKeys: String, CodingKey {
            case tcpPort = "tcp_port"
            case tokenFile = "token_file"
        }
    }

    struct Anycast: Encodable { var prefixes = [LabAddresses.anycast] }

    struct Edge: Encodable {
        struct Uplink: Encodable {
            var name: String
            var neighbor: IPv4Address
            var neighborAS: UInt32
            var local: IPv4Address

            enum CodingKeys: String, CodingKey {
                case name, neighbor, local
                case neighborAS = "neighbor_as"
            }
        }

        var localAS = LabPlan.platformNumber
        var routerID: IPv4Address
        var uplinks: [Uplink]
        /// The default route follows BGP: an edge goes on over one provider when the other is away.
        var importsRoutes = true

        enum CodingKeys: String, CodingKey {
            case uplinks
            case importsRoutes = "imports_routes"
            case localAS = "local_as"
            case routerID = "router_id"
        }
    }

    var host: HostName
    var region: RegionCode
    var stateFolder: String
    var runFolder: String
    var capacity = Capacity()
    var cgroupParent: String
    var images: Images
    var store: Store
    var mesh: Mesh
    var api: API
    var anycast = Anycast()
    var edge: Edge?

    enum CodingKeys: String, CodingKey {
        case host, region, capacity, images, store, mesh, api, anycast, edge
        case stateFolder = "state_dir"
        case runFolder = "run_dir"
        case cgroupParent = "cgroup_parent"
    }

    /// - Parameter keys: WireGuard public keys of hosts; all of them but its own become the host's seeds. The store
    ///   is on the mesh, so a host must be known to its members before it can write itself into the store.
    init(_ host: LabHost, in plan: LabPlan, keys: [HostName: String]) {
        let paths = LabPaths(name: plan.shape.name)
        self.host = host.name
        region = host.region
        stateFolder = paths.hostState(host.name.text)
        runFolder = paths.hostRun(host.name.text)
        cgroupParent = paths.cgroup(host.name.text)
        images = Images(allowedDirectories: [paths.imagesFolder])
        let members = plan.storeMembers(nearestTo: host.region)
        store =
            members.isEmpty
            ? Store(backend: "sqlite")
            : Store(
                backend: "etcd", endpoints: members.map { EtcdArguments.clientURL($0) }, member: host.isStoreMember)
        mesh = Mesh(
            endpoint: host.endpoint,
            seeds: plan.hosts.compactMap { other in
                guard other.name != host.name, let key = keys[other.name] else { return nil }
                return Seed(host: other.name, publicKey: key, endpoint: other.endpoint)
            })
        api = API(tokenFile: paths.tokenFile)
        if host.isEdge {
            edge = Edge(
                routerID: host.underlay,
                uplinks: host.uplinks.map {
                    Edge.Uplink(name: $0.provider, neighbor: $0.neighbor, neighborAS: $0.neighborAS, local: $0.local)
                })
        }
    }

    func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

extension LabPlan {
    /// The hosts that run a member of the store, the nearest first; none when the one host keeps it in SQLite.
    func storeMembers(nearestTo region: RegionCode) -> [LabHost] {
        hosts.filter(\.isStoreMember).sorted {
            (Geography.roundTripMilliseconds(region, $0.region), $0.name)
                < (Geography.roundTripMilliseconds(region, $1.region), $1.name)
        }
    }
}
