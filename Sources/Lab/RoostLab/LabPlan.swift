import RoostModel
public import RoostWAN

/// Everything a lab consists of, as a value: a pure function of its shape.
public struct LabPlan: Sendable {
    public let shape: LabShape
    public let hosts: [LabHost]
    public let clients: [LabClient]
    public let pops: [LabPop]
    public let wan: WANConfiguration

    public static let providers = ["aurora", "borealis"]
    /// From the range for documentation (RFC 5398).
    public static let providerNumbers: [UInt32] = [64501, 64502]
    /// The platform's own number, the same at every edge (RFC 6996, private).
    public static let platformNumber: UInt32 = 65101
    public static let meshInterface = "roost0"
    public static let meshPort = 51820
    public static let probePort = 51821
    public static let meshMTU = 1420
    public static let apiPort = 4280
    /// A metro ring's worth of delay between a customer and its provider, one way.
    static let uplinkMicroseconds: Int64 = 100
    static let peeringMicroseconds: Int64 = 150

    public init(_ shape: LabShape) {
        self.shape = shape
        let members = Self.storeMembers(of: shape)
        var hosts: [LabHost] = []
        var clients: [LabClient] = []
        for (index, region) in shape.regions.enumerated() {
            for number in 1...shape.hostsPerRegion {
                let isEdge = number == shape.hostsPerRegion
                let uplinks = (isEdge ? [0, 1] : [0]).map { provider in
                    Self.uplink(
                        to: provider, in: region,
                        LabAddresses.hostUplink(number, region: index + 1, provider: provider))
                }
                hosts.append(
                    LabHost(
                        name: Self.hostName(region, number), region: region, number: number, isEdge: isEdge,
                        isStoreMember: members.contains(Self.hostName(region, number)),
                        underlay: LabAddresses.host(number, region: index + 1), uplinks: uplinks))
            }
            let provider = index % Self.providers.count
            clients.append(
                LabClient(
                    name: "client-\(region)", region: region, address: LabAddresses.client(region: index + 1),
                    uplink: Self.uplink(
                        to: provider, in: region, LabAddresses.clientUplink(region: index + 1, provider: provider))))
        }
        self.hosts = hosts
        self.clients = clients
        pops = Self.providers.indices.flatMap { provider in
            shape.regions.indices.map {
                Self.pop(of: provider, region: $0, shape: shape, hosts: hosts, clients: clients)
            }
        }
        wan = Self.wan(shape, hosts: hosts, clients: clients, pops: pops)
    }

    /// The store's members first: everybody else waits for what they keep.
    var hostsInBootOrder: [LabHost] { hosts.filter(\.isStoreMember) + hosts.filter { !$0.isStoreMember } }

    var siteNames: [String] { hosts.map(\.name.text) + clients.map(\.name) + pops.map(\.name) }

    static func hostName(_ region: RegionCode, _ number: Int) -> HostName {
        guard let name = try? HostName("\(region)\(number)") else {
            preconditionFailure("a region code and a number make a host name")
        }
        return name
    }

    static func popName(_ provider: Int, _ region: RegionCode) -> String { "\(providers[provider])-\(region)" }

    /// The last host of each of the first three regions; with fewer regions, three hosts if there are as many,
    /// else one. An odd number, so that a majority is never half. A host alone keeps its store in SQLite.
    static func storeMembers(of shape: LabShape) -> [HostName] {
        let byPreference = (0..<shape.hostsPerRegion).flatMap { back in
            shape.regions.map { hostName($0, shape.hostsPerRegion - back) }
        }
        return switch byPreference.count {
        case 1: []
        case 2: [byPreference[0]]
        default: Array(byPreference[..<3])
        }
    }

    private static func uplink(to provider: Int, in region: RegionCode, _ network: LinkNetwork) -> LabUplink {
        LabUplink(
            provider: providers[provider], pop: popName(provider, region), interface: providers[provider],
            local: network.second, neighbor: network.first, neighborAS: providerNumbers[provider])
    }

    // MARK: - Providers

    private static func pop(
        of provider: Int, region index: Int, shape: LabShape, hosts: [LabHost], clients: [LabClient]
    ) -> LabPop {
        let region = shape.regions[index]
        let name = popName(provider, region)
        var customers: [LabPop.Customer] = []
        for host in hosts {
            for uplink in host.uplinks where uplink.pop == name {
                customers.append(
                    LabPop.Customer(
                        name: host.name.text, interface: host.name.text, local: uplink.neighbor,
                        remote: uplink.local, address: host.underlay, isEdge: host.isEdge))
            }
        }
        for client in clients where client.uplink.pop == name {
            customers.append(
                LabPop.Customer(
                    name: client.name, interface: "client", local: client.uplink.neighbor,
                    remote: client.uplink.local, address: client.address, isEdge: false))
        }
        return LabPop(
            name: name, provider: providers[provider], number: providerNumbers[provider], region: region,
            router: LabAddresses.router(region: index + 1, provider: provider), customers: customers,
            neighbors: neighbors(of: provider, region: index, shape: shape))
    }

    private static func neighbors(of provider: Int, region index: Int, shape: LabShape) -> [LabPop.Neighbor] {
        let region = shape.regions[index]
        var found: [LabPop.Neighbor] = []
        for (other, code) in shape.regions.enumerated() where other != index {
            let network = LabAddresses.backbone(pair: pair(index, other), provider: provider)
            found.append(
                LabPop.Neighbor(
                    kind: .backbone, name: popName(provider, code), interface: "to-\(code)",
                    local: index < other ? network.first : network.second,
                    remote: index < other ? network.second : network.first, number: providerNumbers[provider],
                    distance: max(1, Geography.roundTripMilliseconds(region, code))))
        }
        let other = 1 - provider
        let network = LabAddresses.peering(region: index + 1)
        found.append(
            LabPop.Neighbor(
                kind: .peering, name: popName(other, region), interface: "to-\(providers[other])",
                local: provider == 0 ? network.first : network.second,
                remote: provider == 0 ? network.second : network.first, number: providerNumbers[other], distance: 1))
        return found
    }

    /// Counts the pairs (0, 1), (0, 2), (1, 2), (0, 3) …
    static func pair(_ one: Int, _ other: Int) -> Int {
        let (low, high) = (min(one, other), max(one, other))
        return high * (high - 1) / 2 + low
    }

    // MARK: - Links

    private static func wan(
        _ shape: LabShape, hosts: [LabHost], clients: [LabClient], pops: [LabPop]
    ) -> WANConfiguration {
        let paths = LabPaths(name: shape.name)
        func end(_ site: String, _ interface: String) -> WANEnd {
            WANEnd(site: site, namespace: paths.namespace(site), interface: interface)
        }
        func link(_ a: WANEnd, _ b: WANEnd, microseconds: Int64) -> WANLink {
            let direction = WANDirection(delayMicroseconds: microseconds)
            return WANLink(name: "\(a.site)~\(b.site)", a: a, b: b, towardsA: direction, towardsB: direction)
        }
        var links: [WANLink] = []
        for pop in pops {
            for customer in pop.customers {
                let device = pop.provider
                links.append(
                    link(
                        end(pop.name, customer.interface), end(customer.name, device),
                        microseconds: uplinkMicroseconds))
            }
            for neighbor in pop.neighbors where pop.local(isFirstOf: neighbor) {
                guard let other = pops.first(where: { $0.name == neighbor.name }),
                    let back = other.neighbors.first(where: { $0.name == pop.name })
                else { preconditionFailure("neighbours know each other") }
                // Customers' own links are part of the round trip that the map gives.
                let microseconds =
                    switch neighbor.kind {
                    case .backbone: max(100, Int64(neighbor.distance) * 500 - 2 * uplinkMicroseconds)
                    case .peering: peeringMicroseconds
                    }
                links.append(
                    link(
                        end(pop.name, neighbor.interface), end(other.name, back.interface),
                        microseconds: microseconds))
            }
        }
        return WANConfiguration(seed: 1, links: links)
    }
}

extension LabPop {
    /// Each link is made once, from its first end.
    fileprivate func local(isFirstOf neighbor: Neighbor) -> Bool { neighbor.local < neighbor.remote }
}
