import RoostModel

/// Which host gets a new volume or machine: a pure function over what the hosts have published.
///
/// It proposes, the host disposes: the caller asks the candidates in order, and a host may still refuse.
public enum Placement {
    /// The rules, in this order:
    /// 1. hard: region, reachable, memory and disk free (neither is overcommitted), CPUs not above the host's own;
    /// 2. not the host of another member of the same cluster: hard as long as any other host passes rule 1, or always
    ///    where the request says so;
    /// 3. rather not where it was tried before and did not come up;
    /// 4. for databases, rather not where the store lives;
    /// 5. spread: fewest machines of the same app;
    /// 6. fit: the host whose scarcest resource stays least loaded. Ties go by name, so that the answer is stable.
    public static func decide(_ request: PlacementRequest, over hosts: some Sequence<PlacementHost>)
        -> PlacementDecision
    {
        var feasible: [(score: Score, host: HostName, isOccupied: Bool)] = []
        var refusals: [PlacementDecision.Refused] = []
        for host in hosts {
            if let reason = refusal(of: host, for: request) {
                refusals.append(.init(host: host.name, reason: reason))
            } else {
                feasible.append((score(of: host, for: request), host.name, request.occupied.contains(host.name)))
            }
        }
        if request.isApart || feasible.contains(where: { !$0.isOccupied }) {
            refusals += feasible.filter(\.isOccupied).map { .init(host: $0.host, reason: .sameCluster) }
            feasible.removeAll(where: \.isOccupied)
        }
        feasible.sort { ($0.score, $0.host) < ($1.score, $1.host) }
        return PlacementDecision(candidates: feasible.map(\.host), refusals: refusals)
    }

    private static func refusal(of host: PlacementHost, for request: PlacementRequest) -> PlacementRefusal? {
        if host.region != request.region { return .otherRegion(host.region) }
        if !host.isReachable { return .unreachable }
        let memory = ByteCount.mebibytes(request.guest.memoryMebibytes)
        if memory > host.freeMemory { return .memory(needed: memory, free: max(host.freeMemory, .zero)) }
        if request.disk > host.freeDisk { return .disk(needed: request.disk, free: max(host.freeDisk, .zero)) }
        if request.guest.cpus > host.capacity.cpus {
            return .cpus(needed: request.guest.cpus, available: host.capacity.cpus)
        }
        return nil
    }

    /// Small integers compared in order, not one weighted float: every choice can be explained.
    private struct Score: Comparable {
        var avoided: Int
        var store: Int
        var sameApp: Int
        /// Load of the scarcest resource after placing, in thousandths.
        var dominantShare: Int64

        static func < (left: Score, right: Score) -> Bool {
            (left.avoided, left.store, left.sameApp, left.dominantShare)
                < (right.avoided, right.store, right.sameApp, right.dominantShare)
        }
    }

    private static func score(of host: PlacementHost, for request: PlacementRequest) -> Score {
        let memory = host.promisedMemory + .mebibytes(request.guest.memoryMebibytes)
        let disk = host.promisedDisk + request.disk
        let cpus = Int64(host.promisedCPUs + request.guest.cpus)
        let shares = [
            memory.bytes * 1000 / max(host.capacity.memory.bytes, 1),
            disk.bytes * 1000 / max(host.capacity.disk.bytes, 1),
            cpus * 1000 / Int64(max(host.capacity.cpus, 1)),
        ]
        return Score(
            avoided: request.avoided.contains(host.name) ? 1 : 0,
            store: request.avoidsStoreMembers && host.isStoreMember ? 1 : 0,
            sameApp: host.machinesByApp[request.app] ?? 0, dominantShare: shares.max() ?? 0)
    }
}
