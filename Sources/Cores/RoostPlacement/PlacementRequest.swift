public import RoostModel

/// What is to be placed: a machine, or a volume together with the machine that will come with it.
public struct PlacementRequest: Hashable, Sendable {
    /// Hard: nothing is ever placed outside it.
    public var region: RegionCode
    public var guest: MachineGuest
    public var disk: ByteCount
    public var app: AppName
    /// Hosts that already have a member of the same cluster: avoided as long as another host is free.
    public var occupied: Set<HostName>
    /// Rather no place at all than one of ``occupied``.
    public var isApart: Bool
    /// Hosts where something like it did not come up: taken after all others.
    public var avoided: Set<HostName>
    /// Databases stay away from the hosts that carry the store while another host fits as well.
    public var avoidsStoreMembers: Bool

    public init(
        region: RegionCode, guest: MachineGuest, disk: ByteCount = .zero, app: AppName,
        occupied: Set<HostName> = [], isApart: Bool = false, avoided: Set<HostName> = [],
        avoidsStoreMembers: Bool = false
    ) {
        self.isApart = isApart
        self.avoided = avoided
        self.region = region
        self.guest = guest
        self.disk = disk
        self.app = app
        self.occupied = occupied
        self.avoidsStoreMembers = avoidsStoreMembers
    }
}

/// A host as placement sees it: what it offers and what of it is promised.
public struct PlacementHost: Hashable, Sendable {
    public var name: HostName
    public var region: RegionCode
    public var isReachable: Bool
    public var isStoreMember: Bool
    public var capacity: HostCapacity
    /// Memory of its machines, stopped ones too, and of machines whose volume already waits here.
    public var promisedMemory: ByteCount
    public var promisedDisk: ByteCount
    /// Virtual CPUs of its machines. May exceed the host's own (CPU is shared by weight, not reserved).
    public var promisedCPUs: Int
    public var machinesByApp: [AppName: Int]
    /// What the disk can really take, where that is less than what is not promised.
    public var diskLeft: ByteCount?

    public init(
        name: HostName, region: RegionCode, isReachable: Bool, isStoreMember: Bool, capacity: HostCapacity,
        promisedMemory: ByteCount, promisedDisk: ByteCount, promisedCPUs: Int, machinesByApp: [AppName: Int],
        diskLeft: ByteCount? = nil
    ) {
        self.name = name
        self.region = region
        self.isReachable = isReachable
        self.isStoreMember = isStoreMember
        self.capacity = capacity
        self.promisedMemory = promisedMemory
        self.promisedDisk = promisedDisk
        self.promisedCPUs = promisedCPUs
        self.machinesByApp = machinesByApp
        self.diskLeft = diskLeft
    }

    /// Follows from what the host says of itself.
    public init(record: HostRecord, isReachable: Bool) {
        let machines = record.machines.filter { $0.state != .destroyed }
        let volumes = record.volumes.filter { $0.state != .destroyed }
        let waiting = volumes.filter { $0.attachedMachine == nil }.compactMap(\.reserved)
        let guests = machines.map(\.config.guest) + waiting
        self.init(
            name: record.host, region: record.region, isReachable: isReachable,
            isStoreMember: record.isStoreMember, capacity: record.capacity,
            promisedMemory: .mebibytes(guests.reduce(0) { $0 + $1.memoryMebibytes }),
            promisedDisk: volumes.reduce(.zero) { $0 + $1.size },
            promisedCPUs: guests.reduce(0) { $0 + $1.cpus },
            machinesByApp: machines.reduce(into: [:]) { $0[$1.app, default: 0] += 1 }, diskLeft: record.diskLeft)
    }

    /// The same host with the asked-for thing promised on it: for who places several things from one view.
    public func promising(_ request: PlacementRequest) -> PlacementHost {
        var host = self
        host.promisedMemory = host.promisedMemory + .mebibytes(request.guest.memoryMebibytes)
        host.promisedDisk = host.promisedDisk + request.disk
        host.diskLeft = diskLeft.map { $0 - request.disk }
        host.promisedCPUs += request.guest.cpus
        host.machinesByApp[request.app, default: 0] += 1
        return host
    }

    public var freeMemory: ByteCount { capacity.memory - promisedMemory }
    public var freeDisk: ByteCount {
        let unpromised = capacity.disk - promisedDisk
        return diskLeft.map { min($0, unpromised) } ?? unpromised
    }
}

/// Why a host was not taken.
public enum PlacementRefusal: Hashable, Sendable, CustomStringConvertible {
    case otherRegion(RegionCode)
    case unreachable
    case memory(needed: ByteCount, free: ByteCount)
    case disk(needed: ByteCount, free: ByteCount)
    /// Less memory or disk than that is free, whatever it is at the moment.
    case lessMemory(than: ByteCount)
    case lessDisk(than: ByteCount)
    /// More virtual CPUs than the host has in all: such a machine could never run at its size.
    case cpus(needed: Int, available: Int)
    /// Has a member of the same cluster, and another host is free.
    case sameCluster
    /// The host itself said no when it was asked.
    case refusedByHost(String)

    public var description: String {
        switch self {
        case .otherRegion(let region): "is in region \(region)"
        case .unreachable: "does not answer"
        case .memory(let needed, let free): "needs \(needed) of memory, has \(free) free"
        case .disk(let needed, let free): "needs \(needed) of disk, has \(free) free"
        case .lessMemory(let needed): "has less than \(needed) of memory free"
        case .lessDisk(let needed): "has less than \(needed) of disk free"
        case .cpus(let needed, let available): "needs \(needed) CPUs, has \(available)"
        case .sameCluster: "already has a member of the cluster"
        case .refusedByHost(let why): "refused: \(why)"
        }
    }
}

extension PlacementRefusal {
    /// Without what changes all the time.
    fileprivate var standing: PlacementRefusal {
        switch self {
        case .memory(let needed, _): .lessMemory(than: needed)
        case .disk(let needed, _): .lessDisk(than: needed)
        case .otherRegion, .unreachable, .lessMemory, .lessDisk, .cpus, .sameCluster, .refusedByHost: self
        }
    }
}

/// The hosts to ask, best first, and why each of the others was left out.
public struct PlacementDecision: Hashable, Sendable {
    public var candidates: [HostName]
    public var refusals: [Refused]

    public struct Refused: Hashable, Sendable {
        public var host: HostName
        public var reason: PlacementRefusal

        public init(host: HostName, reason: PlacementRefusal) {
            self.host = host
            self.reason = reason
        }
    }

    public init(candidates: [HostName], refusals: [Refused]) {
        self.candidates = candidates
        self.refusals = refusals
    }

    /// For the error a user sees when no host was left: hosts outside the region are only counted.
    public func explanation(for request: PlacementRequest) -> String {
        let inRegion = refusals.filter {
            if case .otherRegion = $0.reason { false } else { true }
        }
        guard !inRegion.isEmpty else { return "there is no host in region \(request.region)" }
        let shown = inRegion.prefix(Self.explainedHostsMax).map { "\($0.host) \($0.reason)" }
        let more = inRegion.count - shown.count
        return "no host in region \(request.region) fits: " + shown.joined(separator: "; ")
            + (more > 0 ? "; and \(more) more" : "")
    }

    /// For what is kept to be read later: the same as long as the same stands against the same hosts, whatever their free
    /// bytes are at the moment.
    public func standingExplanation(for request: PlacementRequest) -> String {
        let standing = refusals.sorted { $0.host < $1.host }.map { Refused(host: $0.host, reason: $0.reason.standing) }
        return PlacementDecision(candidates: [], refusals: standing).explanation(for: request)
    }

    /// As ``standingExplanation(for:)``, where one host was asked for: why another one is not taken needs no words.
    public func standingExplanation(askedFor host: HostName) -> String {
        let why = refusals.first { $0.host == host }.map { "\($0.reason.standing)" } ?? "is not known"
        return "it was asked for on \(host), and \(host) \(why)"
    }

    public static let explainedHostsMax = 8
}
