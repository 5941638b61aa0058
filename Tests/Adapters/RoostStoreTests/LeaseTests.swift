import RoostLinux
import RoostModel
import RoostStore
import Testing

/// What leases mean, on every backend.
@Suite("A lease", .serialized)
struct LeaseTests {
    @Test("its keys vanish together when it runs out, and watchers see it", arguments: Backend.allCases)
    func expiry(backend: Backend) async throws {
        try await backend.with { store, _ in
            let lease = try await store.grantLease(timeToLive: .seconds(1))
            try await store.watching(.prefix("e/")) { record in
                try await store.put("e/b", "1", lease: lease)
                try await store.put("e/a", "1", lease: lease)
                try await store.put("e/stays", "1")
                #expect(try await store.read(.key("e/a"), at: nil).entries.first?.lease == lease)
                let begun = BootClock.now()
                try await record.wait("the keys are gone") { $0.last?.texts == ["-e/a", "-e/b"] }
                #expect(BootClock.now() - begun > .milliseconds(500), "not before its time")
                #expect(try await store.read(.prefix("e/"), at: nil).entries.map(\.key) == ["e/stays"])
            }
            #expect(try await store.keepAlive(lease) == false)
            await expect(.leaseNotFound) { try await store.put("e/late", "1", lease: lease) }
            #expect(try await store.get("e/late") == nil)
            try await store.revoke(lease)
        }
    }

    @Test("it lives for as long as it is kept alive", arguments: Backend.allCases)
    func keptAlive(backend: Backend) async throws {
        try await backend.with { store, _ in
            let lease = try await store.grantLease(timeToLive: .seconds(2))
            try await store.put("k", "1", lease: lease)
            let end = BootClock.now() + .seconds(5)
            _ = try await poll(for: .seconds(10), every: .milliseconds(300)) { () async throws -> Bool? in
                #expect(try await store.keepAlive(lease))
                return BootClock.now() > end ? true : nil
            }
            #expect(try await store.get("k") == "1")
            try await store.watching(.key("k")) { record in
                try await record.wait("the listing") { $0.count == 1 }
                try await store.revoke(lease)
                try await record.wait("the key is gone at once") { $0.last?.texts == ["-k"] }
            }
            #expect(try await store.keepAlive(lease) == false)
        }
    }

    @Test("a key put again without it, or with another, leaves it", arguments: Backend.allCases)
    func leaving(backend: Backend) async throws {
        try await backend.with { store, _ in
            let lease = try await store.grantLease(timeToLive: .seconds(60))
            let other = try await store.grantLease(timeToLive: .seconds(60))
            for key in ["a", "b", "c"] { try await store.put(key, "1", lease: lease) }
            try await store.put("a", "2")
            try await store.put("b", "2", lease: other)
            try await store.revoke(lease)
            #expect(try await store.read(.prefix(""), at: nil).entries.map(\.key) == ["a", "b"])
        }
    }

    @Test("a lease that nobody granted takes no keys", arguments: Backend.allCases)
    func unknown(backend: Backend) async throws {
        try await backend.with { store, _ in
            await expect(.leaseNotFound) { try await store.put("k", "1", lease: LeaseID(12345)) }
            #expect(try await store.keepAlive(LeaseID(12345)) == false)
            // A branch that is not taken is not looked at.
            let outcome = try await store.commit(
                Transaction(
                    compares: [.modified(key: "k", equals: .absent)], then: [],
                    otherwise: [.put(key: "k", value: [], lease: LeaseID(12345))]))
            #expect(outcome.succeeded)
        }
    }
}
