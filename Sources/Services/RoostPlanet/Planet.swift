public import RoostModel
import RoostRecords
public import RoostStore

/// What this host follows of the store, as last heard: what every read of the API is served from.
///
/// A record that cannot be read, or that says what it may not, changes nothing: what was last readable stays, and the
/// record's key is marked.
public struct Planet: Hashable, Sendable {
    /// Of the store, up to which the records of all clusters are known; 0 where they are not followed.
    public internal(set) var revision: Int64 = 0
    public internal(set) var apps: [AppName: AppRecord] = [:]
    public internal(set) var addresses: [String: IPRecord] = [:]
    public internal(set) var clusters: [AppName: ClusterRecords] = [:]
    public internal(set) var operations: [PlanetOperationID: OperationRecord] = [:]
    /// Keys whose present record was not taken in.
    public internal(set) var unreadable: Set<String> = []
    var holdings = Holdings()
    /// Of ``clusters``: kept wherever a placement changes.
    private(set) var seats = ClusterSeats()
    /// The revision of the store that each operation began with.
    private var operationsBegan: [PlanetOperationID: Int64] = [:]

    public init() {}

    /// Takes in what the store says.
    ///
    /// - Parameter part: of which the event is; nil: of all at once.
    @discardableResult
    public mutating func apply(_ event: WatchEvent, of part: PlanetPart? = nil) -> PlanetUpdate {
        var update = PlanetUpdate()
        switch event {
        case .interrupted: update.changes.insert(.connection)
        case .listing(let listing):
            let former = self
            if let part { clear(part) } else { self = Planet() }
            for entry in listing.entries { put(entry, former: former, &update) }
            note(listing.revision.number, of: part)
            update.changes = changes(of: part, since: former)
        case .changes(let changes, let revision):
            for change in changes {
                switch change {
                case .put(let entry): put(entry, former: nil, &update)
                case .delete(let key): delete(key, &update)
                }
            }
            for case .cluster(let name, _) in update.changes where part?.isSecret != true {
                clusters[name]?.revision = revision.number
            }
            if part == nil || part == .clusters { self.revision = revision.number }
        }
        return update
    }

    /// Forgets a part that is not followed any more, but for what is of another one that is.
    mutating func forget(_ part: PlanetPart, but others: Set<PlanetPart>) {
        let former = clusters
        clear(part)
        for case .cluster(let name) in others where part == .clusters {
            reseat(name) { clusters in clusters[name] = former[name] }
        }
    }

    private mutating func clear(_ part: PlanetPart) {
        unreadable = unreadable.filter { !part.has(StoreKey($0)) }
        switch part {
        case .hosts: holdings = Holdings()
        case .apps: apps = [:]
        case .addresses: addresses = [:]
        case .operations: (operations, operationsBegan) = ([:], [:])
        case .clusters:
            revision = 0
            for name in clusters.keys { change(name) { $0 = $0.secretsOnly } }
        case .cluster(let name): change(name) { $0 = $0.secretsOnly }
        case .secrets(let name): change(name) { $0.secretsApart = nil }
        case .identities: for name in clusters.keys { change(name) { $0.identityApart = nil } }
        }
    }

    private mutating func change(_ cluster: AppName, _ body: (inout ClusterRecords) -> Void) {
        reseat(cluster) { clusters in
            guard var records = clusters.removeValue(forKey: cluster) else { return }
            body(&records)
            if !records.isEmpty { clusters[cluster] = records }
        }
    }

    /// Whatever may change a placement of the cluster's.
    private mutating func reseat<Failure: Error>(
        _ cluster: AppName, _ body: (inout [AppName: ClusterRecords]) throws(Failure) -> Void
    ) throws(Failure) {
        let former = clusters[cluster]?.placements ?? [:]
        try body(&clusters)
        seats.move(cluster, from: former, to: clusters[cluster]?.placements ?? [:])
    }

    /// After a listing.
    private mutating func note(_ revision: Int64, of part: PlanetPart?) {
        switch part {
        case nil, .clusters:
            self.revision = revision
            for name in clusters.keys { clusters[name]?.revision = revision }
        case .cluster(let name): clusters[name]?.revision = revision
        case .hosts, .apps, .addresses, .operations, .secrets, .identities: break
        }
    }

    /// What a listing may have changed: of one cluster by name, else anything.
    private func changes(of part: PlanetPart?, since former: Planet) -> Set<PlanetChange> {
        switch part {
        case .cluster(let name):
            let parts = (clusters[name]?.parts ?? []).union(former.clusters[name]?.parts ?? [])
            return Set(parts.map { .cluster(name, $0) })
        case .secrets(let name): return [.cluster(name, .secrets)]
        case nil, .hosts, .apps, .addresses, .operations, .clusters, .identities: return [.all]
        }
    }

    private mutating func put(_ entry: Entry, former: Planet?, _ update: inout PlanetUpdate) {
        let key = StoreKey(entry.key)
        do {
            try take(key, entry, isOfListing: former != nil, &update)
            unreadable.remove(entry.key)
        } catch {
            update.unreadable[entry.key] = "\(error)"
            unreadable.insert(entry.key)
            if let former { keep(key, of: former) }
            // It is there all the same.
            if case .cluster(let name, .spec) = key {
                clusters[name, default: .init()].specStored = entry.modified.number
            }
        }
    }

    private mutating func take(
        _ key: StoreKey, _ entry: Entry, isOfListing: Bool, _ update: inout PlanetUpdate
    ) throws {
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
            try reseat(name) { clusters in
                var records = clusters[name] ?? .init()
                try records.put(part, of: name, entry.value, revision: entry.modified.number)
                // Between two looks a leader may open and close.
                if !isOfListing, part == .heartbeat, records.heartbeat?.isOpen == true { records.openings.count += 1 }
                clusters[name] = records
            }
            update.changes.insert(.cluster(name, part))
        case .operation(let id):
            let record = try RecordCodec.read(OperationRecord.self, from: entry.value)
            try RecordBounds.check(record, at: id)
            operations[id] = record
            operationsBegan[id] = entry.created.number
            update.changes.insert(.operation(id))
        case .secrets(let name):
            let record = try RecordCodec.read(ClusterSecrets.self, from: entry.value)
            clusters[name, default: .init()].secretsApart = Written(record: record, at: entry.modified.number)
            update.changes.insert(.cluster(name, .secrets))
        case .identity(let name):
            let record = try RecordCodec.read(ClusterIdentity.self, from: entry.value)
            clusters[name, default: .init()].identityApart = Written(record: record, at: entry.modified.number)
            update.changes.insert(.cluster(name, .secrets))
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
            reseat(name) { clusters in clusters[name, default: .init()].keep(part, of: records) }
        case .operation(let id):
            operations[id] = former.operations[id]
            operationsBegan[id] = former.operationsBegan[id]
        case .secrets(let name):
            if let record = former.clusters[name]?.secretsApart {
                clusters[name, default: .init()].secretsApart = record
            }
        case .identity(let name):
            if let record = former.clusters[name]?.identityApart {
                clusters[name, default: .init()].identityApart = record
            }
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
            change(name) { $0.delete(part) }
            update.changes.insert(.cluster(name, part))
        case .operation(let id):
            operations[id] = nil
            operationsBegan[id] = nil
            update.changes.insert(.operation(id))
        case .secrets(let name):
            change(name) { $0.secretsApart = nil }
            update.changes.insert(.cluster(name, .secrets))
        case .identity(let name):
            change(name) { $0.identityApart = nil }
            update.changes.insert(.cluster(name, .secrets))
        case .generation, .other: break
        }
    }
}

// MARK: - Operations

extension Planet {
    /// Whether all clusters are known as they were when the operation began, or later. Each part of the planet comes by a
    /// watch of its own, and one may run ahead of the other: what an operation is about need not be here yet.
    public func isAbreast(of operation: PlanetOperationID) -> Bool {
        operationsBegan[operation].map { $0 <= revision } ?? false
    }
}

// MARK: - Hosts and what they have

extension Planet {
    public var hosts: [HostName: HostRecord] { holdings.hosts }

    /// Hosts that carry a member of the store, as they say.
    public var storeHosts: [HostRecord] { holdings.storeHosts.compactMap { holdings.hosts[$0] } }

    /// Puts a whole host, as it would be after its records were heard.
    public mutating func put(_ record: HostRecord) { _ = holdings.put(record) }

    /// The host that has the machine. Of two that claim it, the one that did so first.
    public func host(of machine: MachineID) -> HostName? { holdings.machineHosts[machine]?.first }
    public func host(of volume: VolumeID) -> HostName? { holdings.volumeHosts[volume]?.first }

    /// Whether the host says that it has the machine.
    public func has(_ machine: MachineID, on host: HostName) -> Bool {
        holdings.machineHosts[machine]?.contains(host) ?? false
    }

    /// Whether the host has published a machine or a volume of which no version of its record could be read here: nobody
    /// can tell whose it is.
    public func hasUnread(on host: HostName) -> Bool {
        if let record = hosts[host] {
            let known = Set(record.machines.map(\.id.text) + record.volumes.map(\.id.text))
            if !known.isSuperset(of: record.unreadable) { return true }
        }
        return unreadable.contains { key in
            switch StoreKey(key) {
            case .machine(let id, let owner): owner == host && holdings.machine(id, on: host) == nil
            case .volume(let id, let owner): owner == host && holdings.volume(id, on: host) == nil
            case .host, .generation, .app, .address, .cluster, .secrets, .identity, .operation, .other: false
            }
        }
    }

    public func machine(_ id: MachineID) -> MachineRecord? {
        host(of: id).flatMap { holdings.machine(id, on: $0) }
    }

    /// As the host says, whoever else claims it.
    public func machine(_ id: MachineID, on host: HostName) -> MachineRecord? { holdings.machine(id, on: host) }

    public func volume(_ id: VolumeID) -> VolumeRecord? {
        host(of: id).flatMap { holdings.volume(id, on: $0) }
    }

    public func machines(of app: AppName) -> [MachineRecord] {
        (holdings.appMachines[app] ?? []).compactMap { machine($0) }.sorted { $0.id < $1.id }
    }

    public func volumes(of app: AppName) -> [VolumeRecord] {
        (holdings.appVolumes[app] ?? []).compactMap { volume($0) }.sorted { $0.id < $1.id }
    }
}
