import Glibc
import RoostLinux
import RoostModel
import RoostStore
import Testing

/// Three members, of which one leader is killed and the next one frozen while clients write and watch.
@Suite("A cluster of three etcd members", .serialized)
struct EtcdClusterTests {
    /// What one writer knows of its own increments.
    struct Tally: Sendable {
        var confirmed = 0
        var unknown = 0
    }

    /// What happens to the cluster meanwhile.
    enum Fault: String, CaseIterable, Sendable {
        case leaderKilled = "the leader is killed, and started again"
        case leaderFrozen = "the leader is frozen, and thawed"
        case firstEndpointFrozen = "the endpoint that all use is frozen, and thawed"
    }

    @Test("loses nothing that was confirmed, and its watch tells every revision once", arguments: Fault.allCases)
    func faults(fault: Fault) async throws {
        try await EtcdCluster.with(members: 3) { cluster in
            let writers = 3
            let observer = EtcdStore(endpoints: cluster.endpoints)
            try await observer.watching(.prefix("n/")) { record in
                try await record.wait("the listing") { $0.count == 1 }
                let isOver = Flag()
                let tallies = try await withThrowingTaskGroup(of: Tally.self) { group in
                    for writer in 0..<writers {
                        // Each prefers another member.
                        let turned = cluster.endpoints[writer...] + cluster.endpoints[..<writer]
                        let store = EtcdStore(endpoints: Array(turned))
                        group.addTask { try await Self.write(to: store, as: writer, until: isOver) }
                    }
                    defer { isOver.set() }
                    try await Self.waitForProgress(in: record, by: 60)
                    try await Self.carryOut(fault, on: cluster) {
                        try await Self.waitForProgress(in: record, by: 60)
                    }
                    try await Self.waitForProgress(in: record, by: 60)
                    isOver.set()
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                try await Self.check(tallies, record, observer)
            }
        }
    }

    private static func carryOut(
        _ fault: Fault, on cluster: EtcdCluster, meanwhile: () async throws -> Void
    ) async throws {
        switch fault {
        case .leaderKilled:
            let leader = try await cluster.leader()
            leader.kill9()
            try await meanwhile()
            try leader.start()
        case .leaderFrozen:
            let leader = try await cluster.leader()
            leader.signal(SIGSTOP)
            defer { leader.signal(SIGCONT) }
            try await meanwhile()
        case .firstEndpointFrozen:
            cluster.members[0].signal(SIGSTOP)
            defer { cluster.members[0].signal(SIGCONT) }
            try await meanwhile()
        }
    }

    /// Increments the shared counter, and writes what it did beside it in the same transaction.
    private static func write(
        to store: any Store, as writer: Int, until isOver: Flag
    ) async throws -> Tally {
        var tally = Tally()
        var attempt = 0
        while !isOver.isSet {
            attempt += 1
            do throws(StoreError) {
                let entry = try await store.read(.key("n/count"), at: nil).entries.first
                let number = Int(String(decoding: entry?.value ?? [], as: UTF8.self)) ?? 0
                let outcome = try await store.commit(
                    Transaction(
                        compares: [.modified(key: "n/count", equals: entry?.modified ?? .absent)],
                        then: [
                            .put(key: "n/count", value: Array("\(number + 1)".utf8), lease: nil),
                            .put(key: "n/by/\(writer)/\(attempt)", value: Array("\(number + 1)".utf8), lease: nil),
                        ]))
                if outcome.succeeded { tally.confirmed += 1 }
            } catch {
                switch error.code {
                case .outcomeUnknown: tally.unknown += 1
                case .unavailable: try await Task.sleep(for: .milliseconds(20))
                case .compacted, .invalid, .leaseNotFound: throw error
                }
            }
        }
        return tally
    }

    private static func waitForProgress(in record: WatchRecord, by count: Int) async throws {
        let before = record.events.count
        try await record.wait(for: .seconds(30), "\(count) more changes") { $0.count >= before + count }
    }

    private static func check(_ tallies: [Tally], _ record: WatchRecord, _ store: EtcdStore) async throws {
        let end = try await store.put("n/end", "1")
        try await record.wait("the last change") { $0.last?.revision == end }
        let listing = try await store.read(.prefix("n/by/"), at: nil)
        let count = try #require(Int(try await store.get("n/count") ?? ""))
        let confirmed = tallies.reduce(0) { $0 + $1.confirmed }
        let unknown = tallies.reduce(0) { $0 + $1.unknown }
        #expect(count >= confirmed, "a confirmed increment is lost")
        #expect(count <= confirmed + unknown, "an increment that was refused was carried out")
        // Every number was given exactly once.
        let numbers = listing.entries.compactMap { Int(String(decoding: $0.value, as: UTF8.self)) }
        #expect(numbers.sorted() == Array(1...count))

        // The watch saw each of them, in order, once: each increment is a revision of its own.
        var last = Revision.absent
        var seen: [Int] = []
        for (index, event) in record.events.enumerated() {
            switch event {
            case .listing: #expect(index == 0)
            case .interrupted: continue
            case .changes(let changes, let revision):
                if changes.isEmpty { continue }
                #expect(revision > last)
                last = revision
                if revision == end { continue }
                #expect(changes.count == 2)
                for case .put(let entry) in changes where entry.key == "n/count" {
                    seen.append(Int(String(decoding: entry.value, as: UTF8.self)) ?? -1)
                }
            }
        }
        #expect(seen == Array(1...count))
    }
}
