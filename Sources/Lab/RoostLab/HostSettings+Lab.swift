import RoostModel
import RoostSettings

extension HostSettings {
    /// What a host of the lab is told.
    ///
    /// - Parameter keys: WireGuard public keys of hosts; all of them but its own become the host's seeds. The store
    ///   is on the mesh, so a host must be known to its members before it can write itself into the store.
    init(_ host: LabHost, in plan: LabPlan, keys: [HostName: String]) {
        let paths = LabPaths(name: plan.shape.name)
        let members = plan.storeMembers(nearestTo: host.region)
        self.init(
            host: host.name, region: host.region, stateFolder: paths.hostState(host.name.text),
            runFolder: paths.hostRun(host.name.text),
            capacity: Capacity(
                cpus: 4, memoryMebibytes: (plan.shape.hostMemory ?? LabShape.hostMemoryDefault).wholeMebibytes,
                diskGibibytes: 20),
            cgroupParent: paths.cgroup(host.name.text), images: Images(allowedDirectories: [paths.imagesFolder]),
            store: members.isEmpty
                ? Store()
                : Store(
                    backend: .etcd, endpoints: members.map { EtcdArguments.clientURL($0) }, member: host.isStoreMember),
            mesh: Mesh(
                interface: LabPlan.meshInterface, listenPort: UInt16(LabPlan.meshPort), endpoint: host.endpoint,
                probePort: UInt16(LabPlan.probePort), mtu: LabPlan.meshMTU,
                seeds: plan.hosts.compactMap { other in
                    guard other.name != host.name, let key = keys[other.name] else { return nil }
                    return Seed(
                        host: other.name, publicKey: key, endpoint: other.endpoint,
                        probePort: UInt16(LabPlan.probePort))
                }), api: API(tcpPort: UInt16(LabPlan.apiPort), tokenFile: paths.tokenFile),
            anycast: Anycast(prefixes: [LabAddresses.anycast]), edge: host.isEdge ? Edge(host) : nil)
    }
}

extension HostSettings.Edge {
    /// The default route follows BGP: an edge goes on over one provider when the other is away.
    fileprivate init(_ host: LabHost) {
        self.init(
            localAS: LabPlan.platformNumber, routerID: host.underlay,
            uplinks: host.uplinks.map {
                HostSettings.Uplink(
                    name: $0.provider, neighbor: $0.neighbor, neighborAS: $0.neighborAS, local: $0.local)
            }, importsRoutes: true)
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
