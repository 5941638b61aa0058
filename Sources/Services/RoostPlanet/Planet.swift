public import RoostModel
import RoostRecords
public import RoostStore

/// Everything the store holds, as last heard: what every read of the API is served from.
///
/// A record that cannot be read, or that says what it may not, changes nothing: what was last readable stays, and the
/// record's key is marked.
public struct Planet: Hashable, Sendable {
    public internal(set) var revision: Int64 = 0
    public internal(set) var apps: [AppName: AppRecord] = [:]
    public internal(set) var addresses: [String: IPRecord] = [:]
    public internal(set) var clusters: [AppName: ClusterRecords] = [:]
    public internal(set) var operations: [PlanetOperationID: OperationRecord] = [:]
    /// Keys whose present record was not taken in.
    public internal(set) var unreadable: Set<String> = []
    var holdings = Holdings()

    public init() {}

    /// Takes in what the store says.
    @discardableResult
    public mutating func apply(_ event: WatchEvent) -> PlanetUpdate {
        var update = PlanetUpdate()
        switch event {
        case .interrupted: update.changes.insert(.connection)
        case .listing(let listing):
            let former = self
            self = Planet()
            for entry in listing.entries { put(entry, former: former, &update) }
            revision = listing.revision.number
            update.changes = [.all]
        case .changes(let changes, let revision):
            for change in changes {
                switch change {
                case .put(let entry): put(entry, former: nil, &update)
                case .delete(let key): delete(key, &update)
                }
            }
            self.revision = revision.number
        }
        return update
    }

    private mutating func put(_ entry: Entry, former: Planet?, _ update: inout PlanetUpdate) {
        let key = StoreKey(entry.key)
        do {
            try take(key, entry, &update)
            unreadable.remove(entry.key)
        } catch {
            update.unreadable[entry.key] = "\(error)"
            unreadable.insert(entry.key)
            if let former { keep(key, of: former) }
        }
    }

    private mutating func take(_ key: StoreKey, _ entry: Entry, _ update: inout PlanetUpdate) throws {
        switch key {
        case .host(let name):
            let record = try RecordCodec.read(HostRecord.self, from: entry.value)
            try RecordBounds.check(record, at: name)
            let refused = holdings.put(record)
            for (thing, why) in refused { update.unreadable["\(entry.key): \(thing)"] = why }
            update.changes.insert(.host(name))
        case .generation(let name):
            holdings.set(try RecordCodec.read(Generation.self, from: entry.value), of: name)
        case .machine(let id, let host):
            let record = try RecordCodec.read(MachineRecord.self, from: entry.value)
            try RecordBounds.check(record, at: id)
            holdings.put(record, on: host)
            update.changes.insert(.machine(id, on: host))
        case .volume(let id, let host):
            let record = try RecordCodec.read(VolumeRecord.self, from: entry.value)
            try RecordBounds.check(record, at: id)
            holdings.put(record, on: host)
            update.changes.insert(.volume(id, on: host))
        case .app(let name):
            let record = try RecordCodec.read(AppRecord.self, from: entry.value)
            try RecordBounds.check(record, at: name)
            apps[name] = record
            update.changes.insert(.app(name))
        case .address(let text):
            let record = try RecordCodec.read(IPRecord.self, from: entry.value)
            try RecordBounds.check(record, at: text)
            addresses[text] = record
            update.changes.insert(.address(text))
        case .cluster(let name, let part):
            var records = clusters[name] ?? .init()
            try records.put(part, of: name, entry.value, revision: entry.modified.number)
            clusters[name] = records
            update.changes.insert(.cluster(name, part))
        case .operation(let id):
            let record = try RecordCodec.read(OperationRecord.self, from: entry.value)
            try RecordBounds.check(record, at: id)
            operations[id] = record
            update.changes.insert(.operation(id))
        case .other: break
        }
    }

    /// What was readable before a listing that has it unreadable.
    private mutating func keep(_ key: StoreKey, of former: Planet) {
        switch key {
        case .host(let name): if let record = former.hosts[name] { _ = holdings.put(record.asHeard) }
        case .machine(let id, let host):
            if let record = former.machine(id), former.host(of: id) == host { holdings.put(record, on: host) }
        case .volume(let id, let host):
            if let record = former.volume(id), former.host(of: id) == host { holdings.put(record, on: host) }
        case .app(let name): apps[name] = former.apps[name]
        case .address(let text): addresses[text] = former.addresses[text]
        case .cluster(let name, let part):
            guard let records = former.clusters[name] else { return }
            clusters[name, default: .init()].keep(part, of: records)
        case .operation(let id): operations[id] = former.operations[id]
        case .generation, .other: break
        }
    }

    private mutating func delete(_ key: String, _ update: inout PlanetUpdate) {
        unreadable.remove(key)
        switch StoreKey(key) {
        case .host(let name):
            holdings.remove(name)
            update.changes.insert(.host(name))
        case .machine(let id, let host):
            holdings.remove(id, from: host)
            update.changes.insert(.machine(id, on: host))
        case .volume(let id, let host):
            holdings.remove(id, from: host)
            update.changes.insert(.volume(id, on: host))
        case .app(let name):
            apps[name] = nil
            update.changes.insert(.app(name))
        case .address(let text):
            addresses[text] = nil
            update.changes.insert(.address(text))
        case .cluster(let name, let part):
            clusters[name]?.delete(part)
            if clusters[name]?.isEmpty == true { clusters[name] = nil }
            update.changes.insert(.cluster(name, part))
        case .operation(let id):
            operations[id] = nil
            update.changes.insert(.operation(id))
        case .generation, .other: break
        }
    }
}

// MARK: - Hosts and what they have

extension Planet {
    public var hosts: [HostName: HostRecord] { holdings.hosts }

    /// Puts a whole host, as it would be after its records were heard.
    public mutating func put(_ record: HostRecord) { _ = holdings.put(record) }

    /// The host that has the machine. Of two that claim it, the one that did so first.
    public func host(of machine: MachineID) -> HostName? { holdings.machineHosts[machine]?.first }
    public func host(of volume: VolumeID) -> HostName? { holdings.volumeHosts[volume]?.first }

    public func machine(_ id: MachineID) -> MachineRecord? {
        host(of: id).flatMap { hosts[$0]?.machines.first { $0.id == id } }
    }

    public func volume(_ id: VolumeID) -> VolumeRecord? {
        host(of: id).flatMap { hosts[$0]?.volumes.first { $0.id == id } }
    }

    /// The machine that has an address on the mesh.
    public func machine(at address: IPv6Address) -> MachineID? { holdings.addresses[address] }

    public func machines(of app: AppName) -> [MachineRecord] {
        (holdings.appMachines[app] ?? []).compactMap { machine($0) }.sorted { $0.id < $1.id }
    }

    public func volumes(of app: AppName) -> [VolumeRecord] {
        (holdings.appVolumes[app] ?? []).compactMap { volume($0) }.sorted { $0.id < $1.id }
    }

    /// The addresses of the machines that are the host's: not of those that another host has claimed before.
    public func machineAddresses(on host: HostName) -> [IPv6Address] {
        (hosts[host]?.machines ?? []).filter { self.host(of: $0.id) == host }.map(\.address)
    }
}
