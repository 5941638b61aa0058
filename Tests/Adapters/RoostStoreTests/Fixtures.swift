import Foundation
import GRDB
import Glibc
import Logging
import RoostLinux
import Synchronization
import Testing

@testable import RoostStore

/// A folder that vanishes with the test.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/roost-store-\(getpid())-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The end of every log in it, for a failure's message.
    func logs() -> String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { $0.hasSuffix(".log") }.map { name in
            let bytes = (try? DurableFile.read("\(path)/\(name)")).flatMap { $0 } ?? []
            return "\(name): \(String(decoding: bytes.suffix(1500), as: UTF8.self))"
        }.joined(separator: "\n")
    }
}

/// Everything that the store's meaning is tested on.
enum Backend: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, etcd
    var testDescription: String { rawValue }

    /// A new, empty store, and a way to forget its past up to now.
    func with(_ body: (any Store, _ compact: () async throws -> Void) async throws -> Void) async throws {
        switch self {
        case .sqlite:
            let folder = try TestFolder()
            let store = try SQLiteStore(path: folder.path + "/store.sqlite")
            try await body(store) {
                _ = try await store.pool.write { database in
                    try StoreLedger(database: database).compact(to: ChangeLogBound(changesMax: 0, bytesMax: 0))
                }
            }
        case .etcd:
            try await EtcdCluster.with(members: 1) { cluster in
                let store = EtcdStore(endpoints: cluster.endpoints)
                try await body(store) {
                    try await cluster.compact(to: try await store.read(.key("any"), at: nil).revision)
                }
            }
        }
    }
}

final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

/// Everything a watch said so far.
final class WatchRecord: Sendable {
    private let seen = Mutex<[WatchEvent]>([])

    var events: [WatchEvent] { seen.withLock { $0 } }

    func add(_ event: WatchEvent) { seen.withLock { $0.append(event) } }

    /// Waits until what was seen satisfies a condition.
    func wait(
        for deadline: Duration = .seconds(15), _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: @Sendable ([WatchEvent]) -> Bool
    ) async throws {
        let found = try await poll(for: deadline, every: .milliseconds(10)) { condition(events) ? true : nil }
        try #require(found == true, "\(what); seen: \(events.suffix(20))", sourceLocation: sourceLocation)
    }
}

extension Store {
    /// Runs the body beside a watch.
    func watching(
        _ range: KeyRange, from revision: Revision? = nil, _ body: (WatchRecord) async throws -> Void
    ) async throws {
        let record = WatchRecord()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await event in self.watch(range, from: revision) { record.add(event) }
            }
            defer { group.cancelAll() }
            try await body(record)
        }
    }

    @discardableResult
    func put(_ key: String, _ value: String, lease: LeaseID? = nil) async throws -> Revision {
        try await commit(Transaction(then: [.put(key: key, value: Array(value.utf8), lease: lease)])).revision
    }

    @discardableResult
    func delete(_ range: KeyRange) async throws -> Revision {
        try await commit(Transaction(then: [.delete(range)])).revision
    }

    func get(_ key: String, at revision: Revision? = nil) async throws -> String? {
        try await read(.key(key), at: revision).entries.first.map { String(decoding: $0.value, as: UTF8.self) }
    }

    /// Adds one to a number by compare-and-swap.
    ///
    /// - Returns: the number before, or nil when somebody else was faster.
    func increment(_ key: String) async throws -> Int? {
        let entry = try await read(.key(key), at: nil).entries.first
        let number = Int(String(decoding: entry?.value ?? [], as: UTF8.self)) ?? 0
        let outcome = try await commit(
            Transaction(
                compares: [.modified(key: key, equals: entry?.modified ?? .absent)],
                then: [.put(key: key, value: Array("\(number + 1)".utf8), lease: nil)]))
        return outcome.succeeded ? number : nil
    }
}

extension WatchEvent {
    var revision: Revision? {
        switch self {
        case .listing(let listing): listing.revision
        case .changes(_, let revision): revision
        case .interrupted: nil
        }
    }

    /// The changes of a range, each as `key=value` or `-key`.
    var texts: [String] {
        guard case .changes(let changes, _) = self else { return [] }
        return changes.map { change in
            switch change {
            case .put(let entry): "\(entry.key)=\(String(decoding: entry.value, as: UTF8.self))"
            case .delete(let key): "-\(key)"
            }
        }
    }
}

/// The code with which a store refuses something; nil if it takes it.
func refusal(of work: () async throws -> some Any) async -> StoreError.Code? {
    do {
        _ = try await work()
        return nil
    } catch {
        return (error as? StoreError)?.code
    }
}

/// Expects a store error with a code.
func expect(
    _ code: StoreError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ work: () async throws -> some Any
) async {
    do {
        let value = try await work()
        Issue.record("expected \(code), got \(value)", sourceLocation: sourceLocation)
    } catch let error as StoreError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("expected \(code), got \(error)", sourceLocation: sourceLocation)
    }
}
