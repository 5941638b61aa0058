import RoostModel
import RoostRecords
import RoostStore

/// What of a host is in the store, and the steps from there to what the host is now.
///
/// Every step compares the host's generation (and its record, which an older program compares) and raises it: whoever
/// else publishes under this host's name is found out by either.
struct HostPublication {
    let host: HostName
    private(set) var generation: Generation
    private var generationRevision: Revision
    private var hostRevision: Revision
    /// As published; without machines and volumes when they are records of their own.
    private var record: HostRecord?
    private var machines: [MachineID: MachineRecord] = [:]
    private var volumes: [VolumeID: VolumeRecord] = [:]
    /// What a newer program of this host has put into its own record, without machines and volumes.
    private var newer: NewerFields?
    /// Into machines and volumes, by their ids.
    private var newerInThings: [String: NewerFields] = [:]
    /// Keys of machines and volumes, readable or not.
    private var keys: Set<String> = []
    private var isClaimed = false
    /// Ids of rows of the ledger that this version cannot read: what they stand for stays published as it is.
    private let unreadable: Set<String>

    /// Of one step: well below what the store takes in one transaction.
    static let stepOperationsMax = 100
    static let stepBytesMax = 512 << 10

    struct Step {
        var operations: [Transaction.Operation] = []
        var bytes = 0
        var hasHost = false
    }

    /// - Parameters:
    ///   - whole: the host's own record, if there is one.
    ///   - things: everything below it.
    ///   - unreadable: ids of which the host has a row that this version cannot read.
    init(_ host: HostName, whole: Entry?, things: [Entry], unreadable: Set<String> = []) {
        self.host = host
        self.unreadable = unreadable
        record = whole.flatMap { try? RecordCodec.read(HostRecord.self, from: $0.value) }
        hostRevision = whole?.modified ?? .absent
        // Of a record that this version cannot read the generation still counts.
        struct Guarded: Decodable { var generation: Generation }
        let guarded = whole.flatMap { try? RecordCodec.read(Guarded.self, from: $0.value) }
        generation = guarded?.generation ?? Generation(0)
        generationRevision = .absent
        if let whole, let record { newer = Self.newer(in: whole, of: record) }
        // The host's own record may come to have no machines and volumes in it, and they records of their own.
        newerInThings = NewerFields.takeElements(of: [Self.machinesMember, Self.volumesMember], from: &newer)
        for entry in things {
            switch StoreKey(entry.key) {
            case .generation:
                generationRevision = entry.modified
                if let number = try? RecordCodec.read(Generation.self, from: entry.value) {
                    generation = max(generation, number)
                }
            case .machine(let id, _):
                keys.insert(entry.key)
                machines[id] = try? RecordCodec.read(MachineRecord.self, from: entry.value)
                if let machine = machines[id] { newerInThings[id.text] = Self.newer(in: entry, of: machine) }
            case .volume(let id, _):
                keys.insert(entry.key)
                volumes[id] = try? RecordCodec.read(VolumeRecord.self, from: entry.value)
                if let volume = volumes[id] { newerInThings[id.text] = Self.newer(in: entry, of: volume) }
            // What a newer program of this host has put there is its own.
            case .host, .app, .address, .cluster, .secrets, .identity, .operation, .other: break
            }
        }
    }

    var compares: [Transaction.Compare] {
        [
            .modified(key: StoreKeys.generation(host), equals: generationRevision),
            .modified(key: StoreKeys.host(host), equals: hostRevision),
        ]
    }

    /// The steps to what the host is now; none when it is there already. The record is written last when machines and
    /// volumes are records of their own, and first when they are not: at no time is one of them in no place.
    func steps(to next: HostRecord) throws -> [Step] {
        let next = withUnreadable(next)
        var small: [(Transaction.Operation, Int)] = []
        var wanted: Set<String> = []
        if next.layout == .small {
            for machine in next.machines {
                let key = StoreKeys.machine(machine.id, on: host)
                wanted.insert(key)
                if machines[machine.id] != machine {
                    small.append(try Self.put(machine, beside: newerInThings[machine.id.text], at: key))
                }
            }
            for volume in next.volumes {
                let key = StoreKeys.volume(volume.id, on: host)
                wanted.insert(key)
                if volumes[volume.id] != volume {
                    small.append(try Self.put(volume, beside: newerInThings[volume.id.text], at: key))
                }
            }
        }
        wanted.formUnion(keys.filter { isLeft($0) })
        small += keys.subtracting(wanted).sorted().map { (Transaction.Operation.delete(.key($0)), $0.utf8.count) }
        var steps = Self.pack(small)
        let own = Self.published(next)
        if record.map({ Self.isSame($0, own) }) != true {
            let put = try Self.put(own, beside: newer(of: next.layout), at: StoreKeys.host(host))
            let step = Step(operations: [put.0], bytes: put.1, hasHost: true)
            switch next.layout {
            case .small: steps.append(step)
            case .whole: steps.insert(step, at: 0)
            }
        }
        if steps.isEmpty, !isClaimed, generation != next.generation { steps = [Step()] }
        let number = try Self.put(next.generation, beside: nil, at: StoreKeys.generation(host))
        return steps.map { step in
            var step = step
            step.operations.append(number.0)
            step.bytes += number.1
            return step
        }
    }

    /// A step was carried out.
    mutating func note(_ step: Step, at revision: Revision) {
        generationRevision = revision
        if step.hasHost { hostRevision = revision }
    }

    /// All steps were.
    mutating func noteDone(_ next: HostRecord) {
        let next = withUnreadable(next)
        record = Self.published(next)
        generation = next.generation
        isClaimed = true
        let isSmall = next.layout == .small
        let left = keys.filter { isLeft($0) }
        machines = isSmall ? Dictionary(next.machines.map { ($0.id, $0) }, uniquingKeysWith: { $1 }) : [:]
        volumes = isSmall ? Dictionary(next.volumes.map { ($0.id, $0) }, uniquingKeysWith: { $1 }) : [:]
        let ids = Set(next.machines.map(\.id.text) + next.volumes.map(\.id.text))
        newerInThings = newerInThings.filter { ids.contains($0.key) }
        keys = left.union(
            machines.keys.map { StoreKeys.machine($0, on: host) } + volumes.keys.map { StoreKeys.volume($0, on: host) })
    }

    /// With what the ledger has in rows that this version cannot read, as it was published last. Peers go on leading to
    /// such a machine, and nobody makes it anew elsewhere.
    private func withUnreadable(_ next: HostRecord) -> HostRecord {
        guard !unreadable.isEmpty else { return next }
        let left = unreadable.subtracting(next.machines.map(\.id.text) + next.volumes.map(\.id.text))
        var next = next
        // A host that was cut off between the layouts has them in both; others follow its own record then.
        let whole = Set((record?.machines ?? []).map(\.id.text) + (record?.volumes ?? []).map(\.id.text))
        let (smallMachines, smallVolumes) = (
            machines.values.filter { !whole.contains($0.id.text) },
            volumes.values.filter { !whole.contains($0.id.text) }
        )
        next.machines += ((record?.machines ?? []) + smallMachines).filter { left.contains($0.id.text) }
        next.volumes += ((record?.volumes ?? []) + smallVolumes).filter { left.contains($0.id.text) }
        next.machines.sort { $0.id < $1.id }
        next.volumes.sort { $0.id < $1.id }
        return next
    }

    /// Of a row that cannot be read, and itself a record that cannot: nothing else says what it was, in either layout.
    private func isLeft(_ key: String) -> Bool {
        switch StoreKey(key) {
        case .machine(let id, _): unreadable.contains(id.text) && machines[id] == nil
        case .volume(let id, _): unreadable.contains(id.text) && volumes[id] == nil
        case .host, .generation, .app, .address, .cluster, .secrets, .identity, .operation, .other: false
        }
    }

    private static func published(_ record: HostRecord) -> HostRecord {
        guard record.layout == .small else { return record }
        var record = record
        record.machines = []
        record.volumes = []
        return record
    }

    /// The generation by itself is no reason to write the record.
    private static func isSame(_ one: HostRecord, _ other: HostRecord) -> Bool {
        var one = one
        one.generation = other.generation
        return one == other
    }

    // MARK: - What a newer program has put there

    private static let machinesMember = "machines"
    private static let volumesMember = "volumes"

    private static func newer(in entry: Entry, of record: some Encodable) -> NewerFields? {
        // It was read as a record: it is JSON.
        try? NewerFields(in: entry.value, of: record)
    }

    private func newer(of layout: HostRecord.Layout) -> NewerFields? {
        switch layout {
        case .small: return newer
        case .whole:
            var all = newer
            // By their form no id of a machine is that of a volume; where there is no such element, nothing comes of it.
            NewerFields.put(newerInThings, in: Self.machinesMember, of: &all)
            NewerFields.put(newerInThings, in: Self.volumesMember, of: &all)
            return all
        }
    }

    private static func put(
        _ record: some Encodable, beside newer: NewerFields?, at key: String
    ) throws -> (Transaction.Operation, Int) {
        var newer = newer
        let value = try RecordCodec.write(record, beside: &newer)
        return (.put(key: key, value: value, lease: nil), key.utf8.count + value.count)
    }

    private static func pack(_ operations: [(Transaction.Operation, Int)]) -> [Step] {
        var steps: [Step] = []
        for (operation, bytes) in operations {
            if let last = steps.last, last.operations.count < stepOperationsMax, last.bytes + bytes <= stepBytesMax {
                steps[steps.count - 1].operations.append(operation)
                steps[steps.count - 1].bytes += bytes
            } else {
                steps.append(Step(operations: [operation], bytes: bytes))
            }
        }
        return steps
    }
}
