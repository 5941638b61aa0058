import RoostModel
import RoostRecords

/// Hosts with what they have, and where each thing is found.
///
/// Machines and volumes come within their host's record or as records of their own, by the host's layout. Those that are
/// heard before their host's record says so wait.
struct Holdings: Hashable, Sendable {
    private(set) var hosts: [HostName: HostRecord] = [:]
    /// Those that carry a member of the store: few, and looked for by everybody who tells of a cluster.
    private(set) var storeHosts: Set<HostName> = []
    private var waiting: [HostName: Things] = [:]
    /// In the order in which hosts claimed it: the first one has it.
    private(set) var machineHosts: [MachineID: [HostName]] = [:]
    private(set) var volumeHosts: [VolumeID: [HostName]] = [:]
    private(set) var appMachines: [AppName: Set<MachineID>] = [:]
    private(set) var appVolumes: [AppName: Set<VolumeID>] = [:]

    private struct Things: Hashable {
        var machines: [MachineRecord] = []
        var volumes: [VolumeRecord] = []
    }

    // MARK: - Hosts

    /// - Returns: machines and volumes of the record that were not taken in, with the reason. Of those the last readable
    ///   record stays.
    mutating func put(_ record: HostRecord) -> [(String, String)] {
        let former = hosts[record.host]
        switch record.layout {
        case .small:
            let things: Things =
                if let former, former.layout == .small {
                    Things(machines: former.machines, volumes: former.volumes)
                } else {
                    waiting.removeValue(forKey: record.host) ?? Things()
                }
            replace(record, with: things, former: former)
            return []
        case .whole:
            if let former, former.layout == .small {
                waiting[record.host] = Things(machines: former.machines, volumes: former.volumes)
            }
            let (things, refused) = readable(record, former: former)
            replace(record, with: things, former: former)
            return refused
        }
    }

    private func readable(_ record: HostRecord, former: HostRecord?) -> (Things, [(String, String)]) {
        var things = Things()
        var refused: [(String, String)] = record.unreadable.map { ($0, "cannot be read") }
        for machine in record.machines {
            do {
                try RecordBounds.check(machine, at: machine.id)
                things.machines.append(machine)
            } catch { refused.append((machine.id.text, error.description)) }
        }
        for volume in record.volumes {
            do {
                try RecordBounds.check(volume, at: volume.id)
                things.volumes.append(volume)
            } catch { refused.append((volume.id.text, error.description)) }
        }
        let lost = Set(refused.map(\.0))
        if !lost.isEmpty, let former {
            things.machines += former.machines.filter { lost.contains($0.id.text) }
            things.volumes += former.volumes.filter { lost.contains($0.id.text) }
        }
        return (things, refused)
    }

    private mutating func replace(_ record: HostRecord, with things: Things, former: HostRecord?) {
        var record = record
        record.machines = things.machines.sorted { $0.id < $1.id }
        record.volumes = things.volumes.sorted { $0.id < $1.id }
        for machine in former?.machines ?? [] {
            if record.machines.place(of: machine.id).isThere {
                unindex(machine)
            } else {
                forget(machine, on: record.host)
            }
        }
        for volume in former?.volumes ?? [] {
            if record.volumes.place(of: volume.id).isThere { unindex(volume) } else { forget(volume, on: record.host) }
        }
        for machine in record.machines { note(machine, on: record.host) }
        for volume in record.volumes { note(volume, on: record.host) }
        hosts[record.host] = record
        if record.isStoreMember { storeHosts.insert(record.host) } else { storeHosts.remove(record.host) }
    }

    mutating func set(_ generation: Generation, of host: HostName) {
        if let known = hosts[host]?.generation, known < generation { hosts[host]?.generation = generation }
    }

    mutating func remove(_ host: HostName) {
        guard let record = hosts.removeValue(forKey: host) else { return }
        for machine in record.machines { forget(machine, on: host) }
        for volume in record.volumes { forget(volume, on: host) }
        if record.layout == .small { waiting[host] = Things(machines: record.machines, volumes: record.volumes) }
    }

    // MARK: - Machines and volumes that are records of their own

    mutating func put(_ machine: MachineRecord, on host: HostName) {
        var machine = machine
        shareConfig(of: &machine)
        guard hosts[host]?.layout == .small else {
            waiting[host, default: Things()].machines.put(machine)
            return
        }
        unindex(hosts[host]?.machines.put(machine))
        note(machine, on: host)
    }

    mutating func put(_ volume: VolumeRecord, on host: HostName) {
        guard hosts[host]?.layout == .small else {
            waiting[host, default: Things()].volumes.put(volume)
            return
        }
        unindex(hosts[host]?.volumes.put(volume))
        note(volume, on: host)
    }

    mutating func remove(_ machine: MachineID, from host: HostName) {
        guard hosts[host]?.layout == .small else {
            waiting[host]?.machines.removeAll { $0.id == machine }
            return
        }
        guard let index = hosts[host]?.machines.place(of: machine), index.isThere else { return }
        if let former = hosts[host]?.machines.remove(at: index.position) { forget(former, on: host) }
    }

    mutating func remove(_ volume: VolumeID, from host: HostName) {
        guard hosts[host]?.layout == .small else {
            waiting[host]?.volumes.removeAll { $0.id == volume }
            return
        }
        guard let index = hosts[host]?.volumes.place(of: volume), index.isThere else { return }
        if let former = hosts[host]?.volumes.remove(at: index.position) { forget(former, on: host) }
    }

    /// Other machines of the app whose config is looked at.
    private static let configsComparedMax = 4

    /// Machines of an app mostly have the same config, which is the larger part of what a machine takes: it is kept once.
    private func shareConfig(of machine: inout MachineRecord) {
        for other in (appMachines[machine.app] ?? []).prefix(Self.configsComparedMax) {
            guard let host = machineHosts[other]?.first, let machines = hosts[host]?.machines else { continue }
            let place = machines.place(of: other)
            guard place.isThere, machines[place.position].config == machine.config else { continue }
            machine.config = machines[place.position].config
            return
        }
    }

    func machine(_ id: MachineID, on host: HostName) -> MachineRecord? { hosts[host]?.machines.named(id) }
    func volume(_ id: VolumeID, on host: HostName) -> VolumeRecord? { hosts[host]?.volumes.named(id) }

    // MARK: - Indices

    private mutating func note(_ machine: MachineRecord, on host: HostName) {
        machineHosts.note(machine.id, on: host)
        appMachines[machine.app, default: []].insert(machine.id)
    }

    private mutating func note(_ volume: VolumeRecord, on host: HostName) {
        volumeHosts.note(volume.id, on: host)
        appVolumes[volume.app, default: []].insert(volume.id)
    }

    private mutating func forget(_ machine: MachineRecord, on host: HostName) {
        if machineHosts.forget(machine.id, on: host) { unindex(machine) }
    }

    private mutating func forget(_ volume: VolumeRecord, on host: HostName) {
        if volumeHosts.forget(volume.id, on: host) { unindex(volume) }
    }

    private mutating func unindex(_ machine: MachineRecord?) {
        guard let machine else { return }
        appMachines.remove(machine.id, from: machine.app)
    }

    private mutating func unindex(_ volume: VolumeRecord?) {
        guard let volume else { return }
        appVolumes.remove(volume.id, from: volume.app)
    }
}

extension Dictionary {
    /// Who has claimed it before keeps its place.
    fileprivate mutating func note(_ key: Key, on host: HostName) where Value == [HostName] {
        if self[key]?.contains(host) != true { self[key, default: []].append(host) }
    }

    /// - Returns: true when nobody has it any more.
    fileprivate mutating func forget(_ key: Key, on host: HostName) -> Bool where Value == [HostName] {
        guard var claims = self[key] else { return true }
        if let index = claims.firstIndex(of: host) { claims.remove(at: index) }
        self[key] = claims.isEmpty ? nil : claims
        return claims.isEmpty
    }

    fileprivate mutating func remove<Member>(_ member: Member, from key: Key) where Value == Set<Member> {
        self[key]?.remove(member)
        if self[key]?.isEmpty == true { self[key] = nil }
    }
}

/// A thing with an id, kept in the order of ids.
private protocol Identified {
    associatedtype Kind: IDKind
    var id: ID<Kind> { get }
}

extension MachineRecord: Identified {}
extension VolumeRecord: Identified {}

extension Array where Element: Identified {
    fileprivate func place(of id: ID<Element.Kind>) -> (position: Int, isThere: Bool) {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return (low, low < count && self[low].id == id)
    }

    fileprivate func named(_ id: ID<Element.Kind>) -> Element? {
        let (position, isThere) = place(of: id)
        return isThere ? self[position] : nil
    }

    /// - Returns: what it replaced.
    @discardableResult
    fileprivate mutating func put(_ element: Element) -> Element? {
        let (position, isThere) = place(of: element.id)
        guard isThere else {
            insert(element, at: position)
            return nil
        }
        let former = self[position]
        self[position] = element
        return former
    }
}

extension HostRecord {
    /// The record as it was heard: with machines and volumes only if they were in it.
    var asHeard: HostRecord {
        guard layout == .small else { return self }
        var record = self
        record.machines = []
        record.volumes = []
        return record
    }
}
