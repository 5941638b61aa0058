/// Everything a host says of itself; the host is its only writer.
///
/// In the store it is either one record with everything in it (``Layout/whole``, the first version's), or this record
/// without machines and volumes, which are then records of their own below it.
public struct HostRecord: Hashable, Sendable, Codable {
    /// How a host is kept in the store.
    public enum Layout: Hashable, Sendable {
        /// Machines and volumes are in the host's record.
        case whole
        /// Machines and volumes are records of their own.
        case small
    }

    /// Its own name, from its configuration. A record under another host's key is not believed (`RecordBounds`).
    public var host: HostName
    /// From its configuration; machines and volumes of the host have the same.
    public var region: RegionCode
    /// Grows with every write to the host's ledger. A ledger below what is published is an old copy and must not act.
    public var generation: Generation
    /// From its configuration, not measured.
    public var capacity: HostCapacity
    /// What the volumes' disk can really take, in whole GiB. Nil: all that ``capacity`` says and volumes have not taken.
    public var diskLeft: ByteCount?
    /// Rows of its ledger that its program cannot read: of machines and volumes that it has and does nothing to. Nil: none.
    public var unreadableRows: Int?
    /// How the others reach it; it publishes nothing before its own end of the mesh is up.
    public var mesh: MeshIdentity
    /// The host announces the anycast prefixes when healthy.
    public var isEdge: Bool
    /// Somebody has stopped its edge by hand: it announces nothing until somebody starts it again.
    public var isEdgeStopped: Bool
    /// The host runs a member of the store. Databases are rather placed elsewhere.
    public var isStoreMember: Bool
    /// The version of the program that runs; empty for the first one.
    public var program: String
    /// What its programs can do; empty for the first version. ``Capability/ofEdges`` as its edge says itself.
    public var capabilities: Set<Capability>
    /// Not a field of its own: a record that has the field `machines` is whole.
    public var layout: Layout
    /// All but the destroyed ones. Of ``Layout/small`` whoever reads the planet puts them in.
    public var machines: [MachineRecord]
    /// As ``machines``.
    public var volumes: [VolumeRecord]
    /// Ids of machines and volumes in the record that cannot be read. Never written.
    public var unreadable: [String] = []

    /// What a host says of itself with this program.
    public init(
        host: HostName, region: RegionCode, generation: Generation, capacity: HostCapacity, mesh: MeshIdentity,
        isEdge: Bool, isStoreMember: Bool, program: String = Release.version,
        capabilities: Set<Capability> = Release.capabilities, layout: Layout = .whole, machines: [MachineRecord] = [],
        volumes: [VolumeRecord] = [], diskLeft: ByteCount? = nil, unreadableRows: Int? = nil,
        isEdgeStopped: Bool = false
    ) {
        self.host = host
        self.region = region
        self.generation = generation
        self.capacity = capacity
        self.mesh = mesh
        self.isEdge = isEdge
        self.isEdgeStopped = isEdgeStopped
        self.isStoreMember = isStoreMember
        self.program = program
        self.capabilities = capabilities
        self.layout = layout
        self.machines = machines
        self.volumes = volumes
        self.diskLeft = diskLeft
        self.unreadableRows = unreadableRows
    }

    enum CodingKeys: String, CodingKey {
        case host, region, generation, capacity, mesh
        case isEdge = "is_edge"
        case isEdgeStopped = "edge_stopped"
        case isStoreMember = "is_store_member"
        case program, capabilities, machines, volumes
        case diskLeft = "disk_left"
        case unreadableRows = "unreadable_rows"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        host = try container.decode(HostName.self, forKey: .host)
        region = try container.decode(RegionCode.self, forKey: .region)
        generation = try container.decode(Generation.self, forKey: .generation)
        capacity = try container.decode(HostCapacity.self, forKey: .capacity)
        diskLeft = try container.decodeIfPresent(ByteCount.self, forKey: .diskLeft)
        unreadableRows = try container.decodeIfPresent(Int.self, forKey: .unreadableRows)
        mesh = try container.decode(MeshIdentity.self, forKey: .mesh)
        isEdge = try container.decode(Bool.self, forKey: .isEdge)
        isEdgeStopped = try container.decodeIfPresent(Bool.self, forKey: .isEdgeStopped) ?? false
        isStoreMember = try container.decode(Bool.self, forKey: .isStoreMember)
        program = try container.decodeIfPresent(String.self, forKey: .program) ?? ""
        capabilities = try container.decodeIfPresent(Set<Capability>.self, forKey: .capabilities) ?? []
        layout = container.contains(.machines) ? .whole : .small
        let machines = try container.decodeIfPresent([Readable<MachineRecord>].self, forKey: .machines) ?? []
        let volumes = try container.decodeIfPresent([Readable<VolumeRecord>].self, forKey: .volumes) ?? []
        self.machines = machines.compactMap(\.value)
        self.volumes = volumes.compactMap(\.value)
        unreadable = machines.compactMap(\.unreadable) + volumes.compactMap(\.unreadable)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(host, forKey: .host)
        try container.encode(region, forKey: .region)
        try container.encode(generation, forKey: .generation)
        try container.encode(capacity, forKey: .capacity)
        try container.encodeIfPresent(diskLeft, forKey: .diskLeft)
        try container.encodeIfPresent(unreadableRows, forKey: .unreadableRows)
        try container.encode(mesh, forKey: .mesh)
        try container.encode(isEdge, forKey: .isEdge)
        if isEdgeStopped { try container.encode(true, forKey: .isEdgeStopped) }
        try container.encode(isStoreMember, forKey: .isStoreMember)
        try container.encode(program, forKey: .program)
        try container.encode(capabilities.sorted { $0.rawValue < $1.rawValue }, forKey: .capabilities)
        switch layout {
        case .whole:
            try container.encode(machines, forKey: .machines)
            try container.encode(volumes, forKey: .volumes)
        case .small: break
        }
    }
}

/// One of a list: what cannot be read takes nothing else with it.
private struct Readable<Value: Decodable>: Decodable {
    var value: Value?
    /// The id, as far as there is one, of what cannot be read.
    var unreadable: String?

    init(from decoder: any Decoder) throws {
        value = try? Value(from: decoder)
        guard value == nil else { return }
        let key = TextKey(stringValue: "id")
        unreadable = (try? decoder.container(keyedBy: TextKey.self).decode(String.self, forKey: key)) ?? "?"
    }
}

/// What the host offers in all; what is in use follows from its machines and volumes.
public struct HostCapacity: Hashable, Sendable, Codable {
    /// Cores. Machines may be promised more: a CPU is shared by weight. One machine gets at most so many.
    public var cpus: Int
    /// For machines; what the system itself needs was subtracted by whoever configured the host. Never promised twice.
    public var memory: ByteCount
    /// For volumes, all of whose size is reserved when they are made.
    public var disk: ByteCount

    /// From `capacity` of the host's configuration.
    public init(cpus: Int, memory: ByteCount, disk: ByteCount) {
        self.cpus = cpus
        self.memory = memory
        self.disk = disk
    }
}

/// How other hosts reach this one on the mesh.
public struct MeshIdentity: Hashable, Sendable, Codable {
    /// WireGuard public key, base64.
    public var publicKey: String
    /// Where its WireGuard listens on the outside, `192.0.2.1:51820`.
    public var endpoint: String
    /// UDP port, on the outside address, that answers probes.
    public var probePort: UInt16
    /// ``MeshAddress/host(_:)`` of the host's name; a record with another is not believed.
    public var address: IPv6Address

    /// What the host's own mesh was set up with.
    public init(publicKey: String, endpoint: String, probePort: UInt16, address: IPv6Address) {
        self.publicKey = publicKey
        self.endpoint = endpoint
        self.probePort = probePort
        self.address = address
    }

    enum CodingKeys: String, CodingKey {
        case publicKey = "public_key"
        case endpoint
        case probePort = "probe_port"
        case address
    }
}

/// A machine as its host knows it.
public struct MachineRecord: Hashable, Sendable, Codable {
    /// Made by the host that took the request; used once on the whole planet.
    public var id: MachineID
    /// Of its app's machines no other has it; `machine-<id>` when nobody gave one.
    public var name: String
    /// Never changes: the app's network decides whom the machine can reach.
    public var app: AppName
    /// Its host's.
    public var region: RegionCode
    /// As the host's ledger has it: what was ordered, and what was found of it.
    public var state: MachineState
    /// Changes with every new config; Fly's `instance_id`.
    public var instance: String
    /// As it was ordered. This version never changes it.
    public var config: MachineConfig
    /// Its app's, copied when it was made.
    public var network: NetworkNumber
    /// ``MeshAddress/machine(_:in:)`` of the two; a record with another is not believed.
    public var address: IPv6Address
    /// Set for a machine that comes and goes with a feature of the platform. It has a socket to its host and a gate.
    public var owner: MachineOwner?
    /// Wall clock of its host, in milliseconds.
    public var createdAt: Int64
    /// When its state last changed: wall clock of its host, in milliseconds.
    public var updatedAt: Int64

    /// A machine that its host has just taken on; the address follows from id and network.
    public init(
        id: MachineID, name: String, app: AppName, region: RegionCode, state: MachineState, instance: String,
        config: MachineConfig, network: NetworkNumber, owner: MachineOwner? = nil, createdAt: Int64, updatedAt: Int64
    ) {
        self.id = id
        self.name = name
        self.app = app
        self.region = region
        self.state = state
        self.instance = instance
        self.config = config
        self.network = network
        self.address = MeshAddress.machine(id, in: network)
        self.owner = owner
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    enum CodingKeys: String, CodingKey {
        case id, name, app, region, state, instance, config, network, address, owner
        /// The first version's word for the role in a Postgres cluster.
        case member
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(MachineID.self, forKey: .id)
        name = try container.decode(String.self, forKey: .name)
        app = try container.decode(AppName.self, forKey: .app)
        region = try container.decode(RegionCode.self, forKey: .region)
        state = try container.decode(MachineState.self, forKey: .state)
        instance = try container.decode(String.self, forKey: .instance)
        config = try container.decode(MachineConfig.self, forKey: .config)
        network = try container.decode(NetworkNumber.self, forKey: .network)
        address = try container.decode(IPv6Address.self, forKey: .address)
        owner = try container.decodeOwner(.owner, former: .member, app: app)
        createdAt = try container.decode(Int64.self, forKey: .createdAt)
        updatedAt = try container.decode(Int64.self, forKey: .updatedAt)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(app, forKey: .app)
        try container.encode(region, forKey: .region)
        try container.encode(state, forKey: .state)
        try container.encode(instance, forKey: .instance)
        try container.encode(config, forKey: .config)
        try container.encode(network, forKey: .network)
        try container.encode(address, forKey: .address)
        try container.encodeOwner(owner, .owner, former: .member)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encode(updatedAt, forKey: .updatedAt)
    }
}

/// A volume as its host knows it.
public struct VolumeRecord: Hashable, Sendable, Codable {
    /// How large a volume may be, in GiB, whoever asks for it.
    public static let gibibytes = 1...500
    /// Made by the host that took the request; used once on the whole planet.
    public var id: VolumeID
    /// Fly's rule: 1 to 30 lower-case letters, digits and `_`. Several volumes of an app may have the same.
    public var name: String
    /// Only machines of this app may mount it.
    public var app: AppName
    /// Its host's.
    public var region: RegionCode
    /// As the host's ledger has it.
    public var state: VolumeState
    /// What its filesystem's device has, all of it reserved on the disk: 1 to 500 GiB.
    public var size: ByteCount
    /// The one machine that may mount it.
    public var attachedMachine: MachineID?
    /// CPU and memory kept free on this host for the machine that will come with the volume.
    public var reserved: MachineGuest?
    /// Wall clock of its host, in milliseconds.
    public var createdAt: Int64

    /// A volume that its host has just promised.
    public init(
        id: VolumeID, name: String, app: AppName, region: RegionCode, state: VolumeState, size: ByteCount,
        attachedMachine: MachineID? = nil, reserved: MachineGuest? = nil, createdAt: Int64
    ) {
        self.id = id
        self.name = name
        self.app = app
        self.region = region
        self.state = state
        self.size = size
        self.attachedMachine = attachedMachine
        self.reserved = reserved
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey {
        case id, name, app, region, state, size, reserved
        case attachedMachine = "attached_machine"
        case createdAt = "created_at"
    }
}
