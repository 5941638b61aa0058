import Foundation
import GRDB
import RoostLinux
import RoostMachineLife
import RoostModel
import RoostRecords
import Testing

@testable import RoostHost

/// The ledger as other versions have written it, and what is left of theirs when this one has written.
@Suite struct LedgerFixtureTests {
    /// A ledger of its own, with what another version has left in it.
    struct Disk {
        let path = NSTemporaryDirectory() + "/ledger-\(getpid())-\(UUID().uuidString).sqlite"

        init() throws {
            let sql = String(decoding: try RecordFixture.bytes("ledger", from: "seventh", as: "sql"), as: UTF8.self)
            try open().write { try $0.execute(sql: sql) }
        }

        func open() throws -> DatabaseQueue { try DatabaseQueue(path: path) }

        func put(_ row: JSONTree, id: String, in table: String) throws {
            try open().write { database in
                try database.execute(
                    sql: "INSERT INTO \(table) (id, row) VALUES (?, ?)", arguments: [id, Data(try row.json())])
            }
        }

        func row(_ id: String, in table: String) throws -> JSONTree {
            let bytes = try open().read { database in
                try Data.fetchOne(database, sql: "SELECT row FROM \(table) WHERE id = ?", arguments: [id])
            }
            return try JSONTree(json: Array(try #require(bytes)))
        }

        func remove() {
            for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) }
        }
    }

    static let machine = "148ed127c44389"
    static let volume = "vol_0123456789abcdef"
    static let rowsNow = ["ledger-machine", "ledger-machine-resting", "ledger-machine-due"]

    @Test("A machine's row of the first version is read") func first() throws {
        let row = try RecordCodec.read(
            MachineRow.self, from: try RecordFixture.bytes("ledger-machine", from: "first"))
        #expect(row.record.state == .started)
        #expect(row.record.owner?.role == (try MemberName("pg1")))
        #expect(row.events.count == 2)
    }

    @Test("A ledger as it is written now is read, with all its tables") func whole() throws {
        let disk = try Disk()
        defer { disk.remove() }
        try disk.put(
            try RecordFixture.tree("ledger-machine-resting", from: "seventh"), id: Self.machine, in: "machines")
        try disk.put(try RecordFixture.tree("ledger-volume", from: "seventh"), id: Self.volume, in: "volumes")
        var ledger = try Ledger(path: disk.path)
        let machines = try ledger.machines()
        #expect(machines.unreadable.isEmpty)
        #expect(
            machines.rows.first?.life.phase
                == .resting(.gaveUp(MachineExit(code: 137, signal: 9, oomKilled: true, memoryKills: 3))))
        #expect(try ledger.volumes().rows.map(\.id.text) == [Self.volume])
        #expect(try ledger.generation() == Generation(41))
        #expect(try ledger.renounced() == ["148ed127c4438a", "vol_0123456789abcdee"])
    }

    @Test("A row is written with all that was in it", arguments: rowsNow)
    func nothingIsLost(_ name: String) throws {
        let disk = try Disk()
        defer { disk.remove() }
        let before = try RecordFixture.tree(name, from: "seventh")
        try disk.put(before, id: Self.machine, in: "machines")
        var ledger = try Ledger(path: disk.path)
        _ = try ledger.write(machines: try ledger.machines().rows)
        #expect(try disk.row(Self.machine, in: "machines") == before)
    }

    @Test("A field of a newer version survives at any depth of a machine's row", arguments: rowsNow)
    func newerMachine(_ name: String) throws {
        let disk = try Disk()
        defer { disk.remove() }
        let future = try RecordFixture.tree(name, from: "seventh").fromTheFuture
        try disk.put(future, id: Self.machine, in: "machines")
        var ledger = try Ledger(path: disk.path)
        var row = try #require(try ledger.machines().rows.first)
        _ = try ledger.write(machines: [row])
        // The life's copy in the first version's words is written anew each time.
        let expected = try future.changing("restarts", to: try RecordFixture.tree(name, from: "seventh")["restarts"])
        #expect(try disk.row(Self.machine, in: "machines").holds(expected))
        // Again, of what is written over in memory only.
        row.record.updatedAt = 9
        _ = try ledger.write(machines: [row])
        #expect(
            try disk.row(Self.machine, in: "machines").holds(
                try expected.changing("record", "updated_at", to: .integer(9))))
    }

    @Test("A word of a newer version survives in a machine's events, and in what it is", arguments: rowsNow)
    func newerWords(_ name: String) throws {
        let disk = try Disk()
        defer { disk.remove() }
        let word = JSONTree.text("of-the-future")
        var future = try RecordFixture.tree(name, from: "seventh")
            .changing("record", "owner", "kind", to: word)
            .changing("record", "config", "guest", "cpu_kind", to: word)
            .changing("record", "config", "restart", "policy", to: word)
        guard case .list(let events)? = future["events"] else { throw NoEvents() }
        let changed = try events.map { event in
            try event.changing("type", to: word).changing("source", to: word).changing("status", to: word)
        }
        future = try future.changing("events", to: .list(changed))
        try disk.put(future, id: Self.machine, in: "machines")
        var ledger = try Ledger(path: disk.path)
        let row = try #require(try ledger.machines().rows.first)
        let event = try #require(row.events.first)
        #expect(event.type == MachineEvent.Kind.unknown("of-the-future"))
        #expect(event.source == MachineEvent.Source.unknown("of-the-future"))
        _ = try ledger.write(machines: [row])
        #expect(try disk.row(Self.machine, in: "machines") == future)
    }

    struct NoEvents: Error {}

    @Test("A field of a newer version survives at any depth of a volume's row") func newerVolume() throws {
        let disk = try Disk()
        defer { disk.remove() }
        let future = try RecordFixture.tree("ledger-volume", from: "seventh").fromTheFuture
        try disk.put(future, id: Self.volume, in: "volumes")
        var ledger = try Ledger(path: disk.path)
        var row = try #require(try ledger.volumes().rows.first)
        row.attachedMachine = nil
        _ = try ledger.write(volumes: [row])
        let written = try disk.row(Self.volume, in: "volumes")
        #expect(written.holds(try future.changing("attached_machine", to: nil)))
        #expect(written["attached_machine"] == nil)
        // The id is not used again; a row of the same id would be another thing.
        _ = try ledger.write(removingVolumes: [row.id])
        _ = try ledger.write(volumes: [row])
        #expect(try disk.row(Self.volume, in: "volumes")["x_future"] == nil)
    }

    @Test("What a newer version says of a phase goes with the phase, and does not come back with the next of the name")
    func newerPhase() throws {
        let disk = try Disk()
        defer { disk.remove() }
        let future = try RecordFixture.tree("ledger-machine", from: "seventh").fromTheFuture
        try disk.put(future, id: Self.machine, in: "machines")
        var ledger = try Ledger(path: disk.path)
        var row = try #require(try ledger.machines().rows.first)
        let ending = row.life
        for life in [MachineLife(phase: .due(.init(isFirst: false))), ending] {
            row.life = life
            row.events.removeLast()
            _ = try ledger.write(machines: [row])
            let written = try disk.row(Self.machine, in: "machines")
            #expect(written["life", "phase", "x_future"] == nil)
            #expect(written["life", "x_future"] == .text("kept"))
            #expect(written["record", "config", "guest", "x_future"] == .text("kept"))
        }
    }

    @Test("What the first version said of a launch is not said of a later one") func formerLaunch() throws {
        let disk = try Disk()
        defer { disk.remove() }
        let former = try RecordFixture.tree("ledger-machine", from: "first")
        #expect(former["concludedAttempt"] != nil)
        try disk.put(former.fromTheFuture, id: Self.machine, in: "machines")
        var ledger = try Ledger(path: disk.path)
        var row = try #require(try ledger.machines().rows.first)
        row.life = MachineLife(phase: .running(attempt: "01AAB"))
        _ = try ledger.write(machines: [row])
        let written = try disk.row(Self.machine, in: "machines")
        #expect(written["attempt"] == .text("01AAB"))
        for name in ["concludedAttempt", "restartAttempt", "stopSignal", "stopTimeoutMilliseconds"] {
            #expect(written[name] == nil, "\(name)")
        }
        #expect(written["x_future"] == .text("kept"))
    }

    @Test("A column, a table and a migration of a newer version are left alone") func newerSchema() throws {
        let disk = try Disk()
        defer { disk.remove() }
        try disk.put(try RecordFixture.tree("ledger-machine", from: "seventh"), id: Self.machine, in: "machines")
        try disk.open().write { database in
            try database.execute(
                sql: """
                    INSERT INTO grdb_migrations VALUES ('snapshots');
                    CREATE TABLE snapshots (id TEXT PRIMARY KEY);
                    ALTER TABLE machines ADD COLUMN colour TEXT;
                    UPDATE machines SET colour = 'blue';
                    """)
        }
        var ledger = try Ledger(path: disk.path)
        _ = try ledger.write(machines: try ledger.machines().rows)
        #expect(
            try disk.open().read { try String.fetchOne($0, sql: "SELECT colour FROM machines") } == "blue")
    }
}

/// Orders go from one host to another, which may be of another version.
@Suite struct OrderFixtureTests {
    private func kept(_ order: some Codable, _ name: String) throws {
        let before = try RecordFixture.tree(name, from: "seventh")
        #expect(try JSONTree(json: try RecordCodec.write(order)) == before)
    }

    @Test("A machine's order as it is written now is read, and one of a newer version") func machine() throws {
        let bytes = try RecordFixture.bytes("machine-order", from: "seventh")
        try kept(try RecordCodec.read(MachineOrder.self, from: bytes), "machine-order")
        let future = try RecordFixture.tree("machine-order", from: "seventh").fromTheFuture
            .changing("owner", "kind", to: .text("of-the-future"))
            .changing("config", "guest", "cpu_kind", to: .text("of-the-future"))
        let order = try RecordCodec.read(MachineOrder.self, from: try future.json())
        #expect(order.owner?.kind == .unknown("of-the-future"))
        #expect(order.config.guest.cpuKind == .unknown("of-the-future"))
    }

    @Test("A volume's order as it is written now is read, and one of a newer version") func volume() throws {
        let bytes = try RecordFixture.bytes("volume-order", from: "seventh")
        let order = try RecordCodec.read(VolumeOrder.self, from: bytes)
        try kept(order, "volume-order")
        let future = try RecordFixture.tree("volume-order", from: "seventh").fromTheFuture
        #expect(try RecordCodec.read(VolumeOrder.self, from: try future.json()) == order)
    }
}
