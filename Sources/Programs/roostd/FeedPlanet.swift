import ArgumentParser
import Foundation
import RoostLinux
import RoostModel
import RoostRecords
import RoostStore

/// A made-up planet in a store, of any size, that changes as a real one does.
struct FeedPlanet: Sendable {
    struct Size: ParsableArguments, Sendable {
        @Option var hosts: Int
        @Option var machines: Int
        @Option var clusters: Int
    }

    let size: Size

    static let writersMax = 8
    static let membersEach = 3

    private typealias Record = (key: String, value: [UInt8])

    func fill(_ store: any Store) async throws {
        let records = try (0..<size.hosts).flatMap(host) + (0..<size.clusters).flatMap(cluster)
        let batches = stride(from: 0, to: records.count, by: 100).map {
            Array(records[$0..<min($0 + 100, records.count)])
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, batch) in batches.enumerated() {
                if index >= Self.writersMax { try await group.next() }
                group.addTask {
                    let operations = batch.map { Transaction.Operation.put(key: $0.key, value: $0.value, lease: nil) }
                    _ = try await store.commit(Transaction(then: operations))
                }
            }
            try await group.waitForAll()
        }
    }

    /// Changes machines and renews leases, evenly spread over the time, each as the programs do it.
    ///
    /// - Returns: the bytes of one machine's change: keys and values, as they are written.
    func change(
        _ store: any Store, machinesPerSecond: Int, beatsPerSecond: Int, for time: Duration
    ) async throws -> Int {
        let begin = BootClock.now()
        return try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                try await Self.evenly(machinesPerSecond, begin, time) { number in
                    let operations = try machineChange(number)
                    let bytes = operations.reduce(0) { sum, operation in
                        if case .put(let key, let value, _) = operation {
                            sum + key.utf8.count + value.count
                        } else {
                            sum
                        }
                    }
                    _ = try await store.commit(Transaction(then: operations))
                    return bytes
                }
            }
            group.addTask {
                _ = try await Self.evenly(beatsPerSecond, begin, time) { number in
                    let cluster = try name(ofCluster: number % size.clusters)
                    let beat = Heartbeat(
                        epoch: .first, leader: try member(0, of: cluster), sequence: UInt64(number + 2), isOpen: true)
                    let value = try RecordCodec.write(beat)
                    _ = try await store.commit(
                        Transaction(then: [.put(key: StoreKeys.clusterHeartbeat(cluster), value: value, lease: nil)]))
                    return 0
                }
                return 0
            }
            return try await group.reduce(0) { max($0, $1) }
        }
    }

    private static func evenly(
        _ perSecond: Int, _ begin: Moment, _ time: Duration, _ body: @Sendable (Int) async throws -> Int
    ) async throws -> Int {
        guard perSecond > 0 else { return 0 }
        var (number, largest) = (0, 0)
        while true {
            let due = begin + .microseconds(Int64(number) * 1_000_000 / Int64(perSecond))
            guard due < begin + time else { return largest }
            let pause = due - BootClock.now()
            if pause > .zero { try await Task.sleep(for: pause) }
            largest = max(largest, try await body(number))
            number += 1
        }
    }

    // MARK: - Records

    /// Of four changes the first two are of machines that stop and start; then one goes, and it is made anew.
    private enum MachineChange: Int {
        case stopped, started, destroyed, made
    }

    private func machineChange(_ number: Int) throws -> [Transaction.Operation] {
        let change = MachineChange(rawValue: number % 4) ?? .stopped
        let index =
            switch change {
            case .stopped, .started: number * Self.leap % size.machines
            // No member of a cluster: those come and go with its other records.
            case .destroyed, .made: members + number / 4 * Self.leap % max(size.machines - members, 1)
            }
        let host = try name(ofHost: index % size.hosts)
        var machine = try machine(index)
        machine.state = change == .stopped ? .stopped : .started
        // When it left, for who measures how long it took; no other reader cares.
        machine.updatedAt = Self.microseconds(BootClock.now())
        let key = StoreKeys.machine(machine.id, on: host)
        return [
            change == .destroyed
                ? .delete(.key(key)) : .put(key: key, value: try RecordCodec.write(machine), lease: nil),
            .put(
                key: StoreKeys.generation(host), value: try RecordCodec.write(Generation(UInt64(number + 2))),
                lease: nil),
        ]
    }

    /// A prime: the machines that change are all over the hosts.
    private static let leap = 7919

    /// The first machines are those of the clusters' members.
    private var members: Int { size.clusters * Self.membersEach }

    /// The host as which the planet is followed: one with members, and where it is asked for an edge.
    static func follower(isEdge: Bool) throws -> HostName { try HostName(isEdge ? "host0" : "host1") }

    static func microseconds(_ moment: Moment) -> Int64 {
        let (seconds, attoseconds) = (moment - .zero).components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    /// Another one for each, as peers must have.
    private static func key(ofHost index: Int) -> String {
        let bytes = (0..<32).map { UInt8(truncatingIfNeeded: $0 < 8 ? (index + 1) >> (8 * $0) : 0) }
        return Data(bytes).base64EncodedString()
    }

    private func name(ofHost index: Int) throws -> HostName { try HostName("host\(index)") }
    private func name(ofCluster index: Int) throws -> AppName { try AppName("db\(index)") }
    private func member(_ index: Int, of cluster: AppName) throws -> MemberName {
        try MemberName("\(cluster)-\(index + 1)")
    }

    private func id(_ number: Int) throws -> MachineID {
        let digits = String(number, radix: 16)
        return try MachineID(String(repeating: "0", count: 14 - digits.count) + digits)
    }

    private func machine(_ index: Int) throws -> MachineRecord {
        let cluster = index / Self.membersEach
        let isMember = cluster < size.clusters
        let app = isMember ? try name(ofCluster: cluster) : try AppName("app\(index % 1000)")
        var environment: [String: String] = [:]
        for number in 1...8 { environment["SETTING_\(number)"] = "a value of some length, number \(number)" }
        return MachineRecord(
            id: try id(index + 1), name: "machine-\(index)", app: app, region: try RegionCode("ams"), state: .started,
            instance: "01J0000000000000000000000\(index % 10)",
            config: MachineConfig(
                image: "registry.example.com/team/service:2026-11-01", guest: MachineGuest(),
                environment: environment, metadata: ["team": "one"]),
            network: NetworkNumber(UInt32(index % 1000 + 1)),
            owner: isMember
                ? MachineOwner(kind: .postgres, name: app, role: try member(index % Self.membersEach, of: app)) : nil,
            createdAt: 1, updatedAt: 1)
    }

    private func host(_ index: Int) throws -> [Record] {
        let name = try name(ofHost: index)
        let record = HostRecord(
            host: name, region: try RegionCode("ams"), generation: Generation(1),
            capacity: HostCapacity(cpus: 64, memory: .gibibytes(256), disk: .gibibytes(4096)),
            mesh: MeshIdentity(
                publicKey: Self.key(ofHost: index), endpoint: "198.18.0.1:51820",
                probePort: 51821, address: MeshAddress.host(name)),
            isEdge: index % 20 == 0, isStoreMember: index < 3, layout: .small)
        var records = [
            (StoreKeys.host(name), try RecordCodec.write(record)),
            (StoreKeys.generation(name), try RecordCodec.write(Generation(1))),
        ]
        for number in stride(from: index, to: size.machines, by: size.hosts) {
            let machine = try machine(number)
            records.append((StoreKeys.machine(machine.id, on: name), try RecordCodec.write(machine)))
        }
        return records
    }

    private func cluster(_ index: Int) throws -> [Record] {
        let name = try name(ofCluster: index)
        let region = try RegionCode("ams")
        let members = try (0..<Self.membersEach).map { try member($0, of: name) }
        let address = try IPv4Address("198.18.\(index / 250).\(index % 250 + 1)")
        let pem = String(repeating: "MIIBszCCAVmgAwIBAgIUAAAAAAAAAAAAAAAAAAAAAAAAAAAwCgYIKoZIzj0EAwIw\n", count: 12)
        let secrets = ClusterSecrets(
            ownerPassword: "password", replicationPassword: "password", authorityCertificate: pem,
            serverCertificate: pem, serverKey: pem)
        let network = NetworkNumber(UInt32(index + 2000))
        var records: [Record] = [
            (
                StoreKeys.app(name),
                try RecordCodec.write(
                    AppRecord(
                        name: name, network: network, networkName: try NetworkName(name.text), createdAt: 1,
                        owner: .postgres))
            ),
            (
                StoreKeys.address(address),
                try RecordCodec.write(IPRecord(address: address, app: name, createdAt: 1))
            ),
            (
                StoreKeys.clusterSpec(name),
                try RecordCodec.write(
                    ClusterSpec(
                        name: name, address: address, volumeSize: .gibibytes(10), guest: MachineGuest(),
                        image: "registry.example.com/postgres:17",
                        members: members.map { .init(name: $0, region: region) }, createdAt: 1))
            ),
            (
                StoreKeys.clusterRule(name),
                try RecordCodec.write(
                    ClusterRule(
                        epoch: .first, leader: members[0], members: members, confirmations: 1,
                        history: [Reign(epoch: .first, leader: members[0], begin: .zero)]))
            ),
            (
                StoreKeys.clusterHeartbeat(name),
                try RecordCodec.write(Heartbeat(epoch: .first, leader: members[0], sequence: 1, isOpen: true))
            ),
            (StoreKeys.secrets(name), try RecordCodec.write(secrets)),
            (StoreKeys.identity(name), try RecordCodec.write(secrets.identity)),
        ]
        for (number, member) in members.enumerated() {
            let machine = try machine(index * Self.membersEach + number)
            let placement = MemberPlacement(
                member: member, host: try self.name(ofHost: (index * Self.membersEach + number) % size.hosts),
                region: region, machine: machine.id, volume: try VolumeID("vol_000000000000\(1000 + index)"),
                address: machine.address)
            records.append((StoreKeys.placement(name, member), try RecordCodec.write(placement)))
            let report = MemberReport(
                member: member, role: number == 0 ? .primary : .standby, state: .running, promised: .first,
                position: nil, timeline: 1, replayed: .zero, isStreaming: number > 0, lagBytes: 0, lagMilliseconds: 0,
                sequence: 1)
            records.append((StoreKeys.report(name, member), try RecordCodec.write(report)))
        }
        return records
    }
}
