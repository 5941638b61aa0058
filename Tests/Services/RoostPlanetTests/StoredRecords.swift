import Foundation
import RoostModel
import RoostRecords
import RoostStore
import Testing

@testable import RoostPlanet

/// Records as the store has them.
enum StoredRecords {
    /// The files are those of RoostRecordsTests, which keeps every record as each version has written it.
    static func fixture(_ name: String, of folder: String) throws -> [UInt8] {
        let file = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Model/RoostRecordsTests/Fixtures/\(folder)/\(name).json")
        return Array(try Data(contentsOf: file))
    }

    static func raw(_ key: String, _ value: [UInt8], at revision: Int64 = 5) -> Entry {
        Entry(key: key, value: value, created: Revision(1), modified: Revision(revision))
    }

    static func entry(_ key: String, _ record: some Encodable, at revision: Int64 = 5) throws -> Entry {
        raw(key, try RecordCodec.write(record), at: revision)
    }

    static func listing(_ entries: [Entry]) -> WatchEvent {
        .listing(Listing(entries: entries.sorted { $0.key < $1.key }, revision: Revision(9)))
    }

    static func host(_ folder: String = "second") throws -> HostRecord {
        try RecordCodec.read(HostRecord.self, from: try fixture("host", of: folder))
    }

    /// A host with a number of machines of one app, in the layout.
    static func host(named text: String, machines count: Int, layout: HostRecord.Layout) throws -> HostRecord {
        var record = try host()
        record.host = try HostName(text)
        record.mesh.address = MeshAddress.host(record.host)
        record.layout = layout
        let sample = try #require(record.machines.first)
        let hash = text.utf8.reduce(UInt64(0)) { ($0 &* 31 &+ UInt64($1)) % 0xffff }
        record.machines = try (0..<count).map { index in
            let digits = String(hash << 32 | UInt64(index), radix: 16)
            let id = try MachineID(String(repeating: "0", count: 14 - digits.count) + digits)
            return MachineRecord(
                id: id, name: "m\(index)", app: sample.app, region: record.region, state: .started, instance: "1",
                config: sample.config, network: sample.network, createdAt: 1, updatedAt: 1)
        }
        return record
    }

    /// All keys of the host in its layout.
    static func entries(of record: HostRecord) throws -> [Entry] {
        guard record.layout == .small else { return [try entry(StoreKeys.host(record.host), record)] }
        return try [entry(StoreKeys.host(record.host), record)]
            + record.machines.map { try entry(StoreKeys.machine($0.id, on: record.host), $0) }
            + record.volumes.map { try entry(StoreKeys.volume($0.id, on: record.host), $0) }
    }

    /// The store as one version has left it.
    static func store(of folder: String) throws -> [Entry] {
        let (shop, member) = (try AppName("shop"), try MemberName("pg1"))
        let keys = [
            "host": StoreKeys.host(try HostName("ams-1")), "app": StoreKeys.app(shop),
            "ip": StoreKeys.addresses + "203.0.113.7", "cluster-spec": StoreKeys.clusterSpec(shop),
            "cluster-placement": StoreKeys.placement(shop, member), "cluster-obstacle": StoreKeys.clusterObstacle(shop),
            "cluster-secrets": StoreKeys.clusterSecrets(shop), "cluster-rule": StoreKeys.clusterRule(shop),
            "cluster-heartbeat": StoreKeys.clusterHeartbeat(shop), "cluster-report": StoreKeys.report(shop, member),
        ]
        return try keys.map { raw($1, try fixture($0, of: folder)) }
    }
}
