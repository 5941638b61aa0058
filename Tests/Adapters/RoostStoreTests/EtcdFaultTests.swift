import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostStore

/// What etcd's faults look like through the store.
@Suite("etcd's faults", .serialized)
struct EtcdFaultTests {
    @Test("where nobody listens everything is unavailable, at once")
    func nobodyListens() async throws {
        let ports = try EtcdCluster.freePorts(2)
        let store = EtcdStore(endpoints: ports.map { "http://127.0.0.1:\($0)" })
        let begun = BootClock.now()
        await expect(.unavailable) { try await store.read(.key("k"), at: nil) }
        await expect(.unavailable) { try await store.put("k", "1") }
        await expect(.unavailable) { try await store.keepAlive(LeaseID(1)) }
        #expect(BootClock.now() - begun < .seconds(2))
        let error = await #expect(throws: StoreError.self) { try await store.read(.key("k"), at: nil) }
        let cause = error?.cause ?? ""
        #expect(cause.hasSuffix(": Connection refused"), "\(cause)")
        #expect(cause.count { $0 == "(" } == cause.count { $0 == ")" }, "\(cause)")
        try await store.watching(.key("k")) { record in
            try await record.wait("the interruption") { $0 == [.interrupted] }
        }
    }

    @Test("a frozen endpoint: reads are unavailable, a write's outcome is unknown, the watch says so")
    func frozen() async throws {
        try await EtcdCluster.with(members: 1) { cluster in
            let store = EtcdStore(endpoints: cluster.endpoints)
            let first = try await store.put("k", "1")
            try await store.watching(.key("k")) { record in
                try await record.wait("the listing") { $0.count == 1 }
                cluster.members[0].signal(SIGSTOP)
                let begun = BootClock.now()
                try await record.wait("the interruption") { $0.last == .interrupted }
                #expect(BootClock.now() - begun < .seconds(3))
                await expect(.unavailable) { try await store.read(.key("k"), at: nil) }
                await expect(.outcomeUnknown) { try await store.put("k", "2") }
                #expect(BootClock.now() - begun < .seconds(9), "every wait is bounded")
                cluster.members[0].signal(SIGCONT)
                // The frozen one had the write in its queue: it may be carried out, and even after this one.
                let third = try await store.put("k", "3")
                try await record.wait("the last change") { $0.contains { $0.revision == third } }
                let revisions = record.events.compactMap(\.revision)
                #expect(revisions.first == first)
                #expect(revisions == revisions.sorted())
            }
        }
    }

    @Test("a watch that was interrupted says when it is back, also when nothing changed")
    func backAgain() async throws {
        try await EtcdCluster.with(members: 1) { cluster in
            let store = EtcdStore(endpoints: cluster.endpoints)
            let last = try await store.put("k", "1")
            try await store.watching(.key("k")) { record in
                try await record.wait("the listing") { $0.count == 1 }
                cluster.members[0].kill9()
                try await record.wait("the interruption") { $0.last == .interrupted }
                // A connection from before may be taken once more, and break with the write on its way: that one's outcome
                // is unknown, as it should be.
                let isRefused = try await poll(for: .seconds(5)) {
                    await refusal(of: { try await store.put("k", "2") }) == .unavailable ? true : nil
                }
                #expect(isRefused == true)
                try cluster.members[0].start()
                try await record.wait("it is back") { $0.last == .changes([], revision: last) }
                let next = try await poll(for: .seconds(5)) { try? await store.put("k", "3") }
                try await record.wait("the next change") { $0.last?.revision == next }
            }
        }
    }
}
