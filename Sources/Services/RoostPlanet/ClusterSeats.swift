public import RoostModel

/// Which clusters have a member where: the placements by machine and by host. A change of a machine or of a host costs
/// those who ask for its clusters what these are, and not what the planet is.
struct ClusterSeats: Hashable, Sendable {
    private(set) var byMachine: [MachineID: Set<AppName>] = [:]
    /// With the number of members there.
    private(set) var byHost: [HostName: [AppName: Int]] = [:]

    typealias Placements = [MemberName: MemberPlacement]

    mutating func move(_ cluster: AppName, from former: Placements, to present: Placements) {
        guard former != present else { return }
        for placement in former.values {
            byMachine[placement.machine]?.remove(cluster)
            if byMachine[placement.machine]?.isEmpty == true { byMachine[placement.machine] = nil }
            byHost[placement.host]?[cluster]? -= 1
            if byHost[placement.host]?[cluster] == 0 { byHost[placement.host]?[cluster] = nil }
            if byHost[placement.host]?.isEmpty == true { byHost[placement.host] = nil }
        }
        for placement in present.values {
            byMachine[placement.machine, default: []].insert(cluster)
            byHost[placement.host, default: [:]][cluster, default: 0] += 1
        }
    }
}

extension Planet {
    /// Those that have placed a member on the host.
    public func clusters(placedOn host: HostName) -> Set<AppName> { Set((seats.byHost[host] ?? [:]).keys) }

    /// Those that have placed a member in the machine, whether or not it is there.
    public func clusters(placedIn machine: MachineID) -> Set<AppName> { seats.byMachine[machine] ?? [] }
}
