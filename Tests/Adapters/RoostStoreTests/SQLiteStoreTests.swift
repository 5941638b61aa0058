import Foundation
import GRDB
import Glibc
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostStore

/// What only the store in a file must stand.
@Suite("The store in a file")
struct SQLiteStoreTests {
    @Test("what is confirmed is on the disk")
    func durability() async throws {
        let folder = try TestFolder()
        let store = try SQLiteStore(path: folder.path + "/s")
        let modes = try await store.pool.write { database in
            [
                try String.fetchOne(database, sql: "PRAGMA journal_mode"),
                try String.fetchOne(database, sql: "PRAGMA synchronous"),
            ]
        }
        #expect(modes == ["wal", "2"], "2 is FULL")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(names).isSuperset(of: ["s", "s-wal"]))
        for name in names {
            var status = stat()
            #expect(stat("\(folder.path)/\(name)", &status) == 0 && status.st_mode & 0o077 == 0, "\(name)")
        }
    }

    @Test("a file that is copied alone after an orderly end is the whole store")
    func fileAlone() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/s"
        let store = try SQLiteStore(path: path)
        var last = Revision.absent
        for number in 1...50 { last = try await store.put("k", "\(number)") }
        store.foldLog()
        // The process ends, and closes nothing.
        try FileManager.default.copyItem(atPath: path, toPath: path + ".copy")
        let copy = try SQLiteStore(path: path + ".copy")
        #expect(try await copy.read(.prefix("k"), at: nil).revision == last)
        #expect(try await copy.get("k") == "50")
        // Nothing has ended for one that goes on all the same.
        #expect(try await store.put("k", "51").number == last.number + 1)
    }

    @Test("a copy that SQLite takes while the store is written to is whole, and of one moment")
    func copyOfOneThatRuns() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/s"
        let store = try SQLiteStore(path: path)
        let written = Mutex<Int64>(0)
        // More pages than SQLite puts into the file by itself, so that both files change while the copies are taken.
        async let writer: Void = {
            for number in 1...600 {
                let text = String(repeating: "\(number) ", count: 200)
                let revision = try await store.put("k\(number % 20)", text)
                written.withLock { $0 = revision.number }
            }
        }()
        let copies = [1, 2, 3, 4].map { path + ".copy\($0)" }
        // Another process, as `sqlite3` is.
        var others = Configuration()
        others.busyMode = .timeout(5)
        let other = try DatabaseQueue(path: path, configuration: others)
        var least: [String: Int64] = [:]
        for (index, copy) in copies.enumerated() {
            let hasBegun = try await poll(for: .seconds(30)) { written.withLock { $0 > 100 * index } ? true : nil }
            #expect(hasBegun == true)
            least[copy] = written.withLock { $0 }
            if index.isMultiple(of: 2) {
                try await other.writeWithoutTransaction { try $0.execute(sql: "VACUUM INTO ?", arguments: [copy]) }
            } else {
                try other.backup(to: try DatabaseQueue(path: copy))
            }
        }
        try await writer
        for copy in copies {
            let again = try SQLiteStore(path: copy)
            let faults = try await again.pool.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") }
            #expect(faults == ["ok"])
            let listing = try await again.read(.prefix("k"), at: nil)
            // What was confirmed before the copy began is in it, and nothing that came before the last of it is missing.
            #expect(listing.revision.number >= least[copy] ?? 0)
            let newest = listing.entries.map(\.modified.number).max()
            #expect(newest == listing.revision.number, "one write a revision")
            #expect(Set(listing.entries.map(\.modified)).count == listing.entries.count)
        }
    }

    @Test("a second owner is refused and told why")
    func secondOwner() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/s"
        var first: SQLiteStore? = try SQLiteStore(path: path)
        try await first?.put("k", "1")
        do {
            _ = try SQLiteStore(path: path)
            Issue.record("a second store opened the file")
        } catch {
            #expect(error.code == .unavailable)
            #expect(error.cause.contains("process \(getpid())"), "\(error)")
        }
        first = nil
        #expect(try await SQLiteStore(path: path).get("k") == "1")
    }

    @Test("a file that is none is refused, not replaced")
    func damagedFile() throws {
        let folder = try TestFolder()
        try DurableFile.write(String(repeating: "not a database ", count: 500), to: folder.path + "/s")
        #expect(throws: StoreError.self) { try SQLiteStore(path: folder.path + "/s") }
        #expect(try DurableFile.read(folder.path + "/s")?.count == 7500)
    }

    @Test("a restart keeps keys, revisions and the past; a lease gets its whole life again")
    func restart() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/s"
        var store: SQLiteStore? = try SQLiteStore(path: path)
        let start = try await #require(store).put("a", "1")
        let lease = try await #require(store).grantLease(timeToLive: .seconds(2))
        try await store?.put("leased", "1", lease: lease)
        let end = try await #require(store).put("a", "2")
        store = nil

        let again = try SQLiteStore(path: path)
        #expect(try await again.read(.prefix(""), at: nil).revision == end)
        #expect(try await again.get("a", at: start) == "1")
        #expect(try await again.keepAlive(lease))
        #expect(try await again.grantLease(timeToLive: .seconds(2)) != lease)
        try await again.watching(.prefix(""), from: start) { record in
            try await record.wait("the past") { $0.count == 3 }
            #expect(record.events.map(\.texts) == [["a=1"], ["leased=1"], ["a=2"]])
            try await record.wait("the lease's end") { $0.last?.texts == ["-leased"] }
        }
    }

    @Test("what was confirmed before a kill -9 is there afterwards")
    func killed() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/s"
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let store = try SQLiteStore(path: path)
            for number in 1...50 {
                try await store.put("k\(number)", "\(number)")
                // Outside the store, after the confirmation.
                try DurableFile.write("\(number)", to: path + ".confirmed")
            }
            kill(getpid(), SIGKILL)
        }
        let confirmed = try #require(
            try DurableFile.read(path + ".confirmed").map { String(decoding: $0, as: UTF8.self) })
        #expect(confirmed == "50")
        let store = try SQLiteStore(path: path)
        #expect(try await store.read(.prefix("k"), at: nil).entries.count == 50)
        #expect(try await store.put("k", "51").number == 52)
    }

    @Test("the past is bounded; the present and a watch at its edge are whole")
    func compaction() async throws {
        let folder = try TestFolder()
        let store = try SQLiteStore(
            path: folder.path + "/s", changeLog: ChangeLogBound(changesMax: 20, bytesMax: 1 << 20))
        let first = try await store.put("stays", "old")
        for number in 0..<100 {
            try await store.put("k\(number % 3)", "\(number)")
            if number % 7 == 0 { try await store.delete(.key("k\(number % 3)")) }
        }
        let size = try await poll(for: .seconds(5)) { () -> ChangeLogSize? in
            let size = try await store.reading("size") { try $0.logSize() }
            return size.changes <= 25 ? size : nil
        }
        #expect(size != nil)
        let (clock, rows) = try await store.pool.read { database in
            (
                try StoreLedger(database: database).clock(),
                try Int.fetchOne(database, sql: "SELECT count(*) FROM changes") ?? 0
            )
        }
        #expect(rows <= 25 + 4, "the log and the last value of each key")
        await expect(.compacted) { try await store.get("stays", at: Revision(clock.compacted.number - 1)) }
        #expect(try await store.get("stays", at: clock.compacted) == "old")
        #expect(try await store.read(.prefix(""), at: nil).entries.map(\.key).contains("stays"))
        for (from, isListing) in [
            (clock.compacted.number + 1, false), (clock.compacted.number, true), (first.number, true),
        ] {
            try await store.watching(.prefix(""), from: Revision(from)) { record in
                try await record.wait("an event") { !$0.isEmpty }
                if case .listing = record.events[0] { #expect(isListing) } else { #expect(!isListing) }
            }
        }
    }

    /// The same history in the store and in a plain model; every revision that is left must read the same.
    @Test("reading the past agrees with a model", arguments: [UInt64](1...4))
    func model(seed: UInt64) async throws {
        let folder = try TestFolder()
        let store = try SQLiteStore(
            path: folder.path + "/s", changeLog: ChangeLogBound(changesMax: 30, bytesMax: 1 << 20))
        var random = seed
        func next(_ bound: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(random >> 33) % bound
        }
        var present: [String: String] = [:]
        var past: [Revision: [String: String]] = [:]
        for step in 0..<150 {
            let key = "m/\(next(6))"
            if next(3) == 0 {
                past[try await store.delete(.key(key))] = {
                    present[key] = nil; return present
                }()
            } else {
                present[key] = "\(step)"
                past[try await store.put(key, "\(step)")] = present
            }
        }
        var readable = 0
        for (revision, expected) in past {
            guard let listing = try? await store.read(.prefix("m/"), at: revision) else { continue }
            readable += 1
            let found = Dictionary(
                uniqueKeysWithValues: listing.entries.map { ($0.key, String(decoding: $0.value, as: UTF8.self)) })
            #expect(found == expected, "revision \(revision)")
        }
        #expect(readable >= 30 && readable < 150)
    }
}
