import Glibc
public import RoostModel
import RoostWAN

/// What `roost lab status` shows.
public struct LabStatus: Sendable, Codable {
    public struct Host: Sendable, Codable {
        public var name: HostName
        public var region: RegionCode
        public var state: LabPlanet.HostState
        public var isEdge: Bool
        public var isStoreMember: Bool
        public var address: IPv4Address
        public var meshAddress: IPv6Address
        public var providers: [String]
        public var apiSocket: String

        enum CodingKeys: String, CodingKey {
            case name, region, state, address, providers
            case isEdge = "edge"
            case isStoreMember = "store_member"
            case meshAddress = "mesh_address"
            case apiSocket = "api_socket"
        }
    }

    public struct Client: Sendable, Codable {
        public var name: String
        public var region: RegionCode
        public var address: IPv4Address
        public var provider: String
    }

    public struct Router: Sendable, Codable {
        public var name: String
        public var provider: String
        public var number: UInt32
        public var region: RegionCode
        public var isRunning: Bool

        enum CodingKeys: String, CodingKey {
            case name, provider, region
            case number = "as"
            case isRunning = "running"
        }
    }

    public struct Distance: Sendable, Codable {
        public var from: RegionCode
        public var to: RegionCode
        public var roundTripMilliseconds: Int

        enum CodingKeys: String, CodingKey {
            case from, to
            case roundTripMilliseconds = "rtt_ms"
        }
    }

    public var name: String
    /// All of it came up once.
    public var isComplete: Bool
    /// The links carry packets.
    public var isWANRunning: Bool
    public var hosts: [Host]
    public var clients: [Client]
    public var routers: [Router]
    public var distances: [Distance]
    /// In words; nil when the links cannot be asked.
    public var faults: [String]?

    enum CodingKeys: String, CodingKey {
        case name, hosts, clients, routers, distances, faults
        case isComplete = "complete"
        case isWANRunning = "wan_running"
    }
}

extension LabPlanet {
    /// What is there now. Answers also when parts of the lab are dead.
    public func status() async throws -> LabStatus {
        let regions = plan.shape.regions
        let faults = try? await faults().map(\.description)
        let stopped = await stoppedEdges().map { "the edge of \($0) is stopped" }
        let cgroups = try ControlGroups.detect()
        return LabStatus(
            name: plan.shape.name, isComplete: try Self.record(plan.shape.name)?.isComplete == true,
            isWANRunning: faults != nil,
            hosts: plan.hosts.map { host in
                LabStatus.Host(
                    name: host.name, region: host.region, state: state(of: host), isEdge: host.isEdge,
                    isStoreMember: host.isStoreMember, address: host.underlay, meshAddress: host.mesh,
                    providers: host.uplinks.map(\.provider), apiSocket: paths.apiSocket(host.name.text))
            },
            clients: plan.clients.map {
                LabStatus.Client(
                    name: $0.name, region: $0.region, address: $0.address, provider: $0.uplink.provider)
            },
            routers: plan.pops.map {
                LabStatus.Router(
                    name: $0.name, provider: $0.provider, number: $0.number, region: $0.region,
                    isRunning: !cgroups.processes(in: paths.cgroup($0.name)).isEmpty)
            },
            distances: regions.indices.flatMap { one in
                regions.indices.filter { $0 > one }.map { other in
                    LabStatus.Distance(
                        from: regions[one], to: regions[other],
                        roundTripMilliseconds: Geography.roundTripMilliseconds(regions[one], regions[other]))
                }
            },
            faults: faults.map { $0 + stopped })
    }
}
