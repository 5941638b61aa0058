import RoostLinux
import RoostModel
import RoostStore
import Testing

/// What reads and transactions mean, on every backend.
@Suite("The store's meaning", .serialized)
struct MeaningTests {
    @Test("values carry any bytes and entries their revisions", arguments: Backend.allCases)
    func values(backend: Backend) async throws {
        try await backend.with { store, _ in
            let all = (0...255).map { UInt8($0) }
            let first = try await store.commit(
                Transaction(then: [
                    .put(key: "v/b", value: all, lease: nil), .put(key: "v/a", value: [], lease: nil),
                    .put(key: "w", value: [0], lease: nil),
                ])
            ).revision
            let second = try await store.commit(
                Transaction(then: [.put(key: "v/b", value: all.reversed(), lease: nil)])
            ).revision
            #expect(second.number == first.number + 1)
            let listing = try await store.read(.prefix("v/"), at: nil)
            #expect(
                listing
                    == Listing(
                        entries: [
                            Entry(key: "v/a", value: [], created: first, modified: first),
                            Entry(key: "v/b", value: all.reversed(), created: first, modified: second),
                        ], revision: second))
            #expect(try await store.read(.prefix(""), at: nil).entries.count == 3)
            #expect(try await store.read(.key("v/"), at: nil).entries.isEmpty)
        }
    }

    @Test("a range reads as it was at a revision", arguments: Backend.allCases)
    func pastRevisions(backend: Backend) async throws {
        try await backend.with { store, compact in
            let one = try await store.put("k", "1")
            let two = try await store.put("k", "2")
            let gone = try await store.delete(.key("k"))
            let back = try await store.put("k", "3")
            #expect(try await store.get("k", at: one) == "1")
            #expect(try await store.get("k", at: two) == "2")
            #expect(try await store.get("k", at: gone) == nil)
            #expect(try await store.get("k", at: back) == "3")
            #expect(try await store.read(.prefix(""), at: two).revision == two)
            #expect(try await store.read(.key("k"), at: nil).entries.first?.created == back)
            await expect(.invalid) { try await store.get("k", at: Revision(back.number + 1)) }
            try await compact()
            await expect(.compacted) { try await store.get("k", at: one) }
            await expect(.compacted) { try await store.get("k", at: Revision(0)) }
            #expect(try await store.get("k", at: back) == "3")
        }
    }

    @Test("a transaction takes one branch, in order, at one revision", arguments: Backend.allCases)
    func branches(backend: Backend) async throws {
        try await backend.with { store, _ in
            let base = try await store.put("a", "1")
            let transaction = Transaction(
                compares: [.modified(key: "a", equals: base), .modified(key: "b", equals: .absent)],
                then: [
                    .put(key: "b", value: [1], lease: nil), .read(.prefix("")), .delete(.key("a")), .read(.prefix("")),
                ],
                otherwise: [.read(.key("b"))])
            let yes = try await store.commit(transaction)
            #expect(yes.succeeded)
            #expect(yes.revision.number == base.number + 1)
            #expect(yes.listings.map { $0.entries.map(\.key) } == [["a", "b"], ["b"]])
            let no = try await store.commit(transaction)
            #expect(!no.succeeded)
            #expect(no.listings.map { $0.entries.map(\.key) } == [["b"]])
            #expect(no.revision == yes.revision, "what changes nothing takes no revision")
            let nothing = try await store.delete(.prefix("nothing/"))
            #expect(nothing == yes.revision)
        }
    }

    @Test("concurrent increments by compare-and-swap lose nothing", arguments: Backend.allCases)
    func increments(backend: Backend) async throws {
        let (writers, each) = (6, 20)
        try await backend.with { store, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<writers {
                    group.addTask {
                        var done = 0
                        while done < each {
                            if try await store.increment("n") != nil { done += 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.get("n") == "\(writers * each)")
        }
    }

    @Test("what is out of bounds is refused as invalid", arguments: Backend.allCases)
    func bounds(backend: Backend) async throws {
        try await backend.with { store, _ async throws in
            func refused(_ operations: [Transaction.Operation], compares: [Transaction.Compare] = []) async {
                await expect(.invalid) {
                    try await store.commit(Transaction(compares: compares, then: operations))
                }
            }
            let megabyte = [UInt8](repeating: 1, count: Transaction.valueBytesMax)
            await refused([.put(key: "k", value: megabyte + [0], lease: nil)])
            await refused([.put(key: "k", value: megabyte, lease: nil), .put(key: "l", value: megabyte, lease: nil)])
            await refused([.put(key: "", value: [], lease: nil)])
            await refused([.put(key: String(repeating: "k", count: KeyRange.keyBytesMax + 1), value: [], lease: nil)])
            await refused([.put(key: "é", value: [], lease: nil)])
            await refused([.put(key: "k", value: [], lease: nil), .put(key: "k", value: [], lease: nil)])
            await refused([.put(key: "k", value: [], lease: nil), .delete(.prefix(""))])
            await refused((0...Transaction.operationsMax).map { .put(key: "k\($0)", value: [], lease: nil) })
            await refused(
                [], compares: (0...Transaction.operationsMax).map { .modified(key: "k\($0)", equals: .absent) })
            await expect(.invalid) { try await store.read(.key(""), at: nil) }
            await expect(.invalid) { try await store.grantLease(timeToLive: .milliseconds(10)) }
            #expect(try await store.read(.prefix(""), at: nil).entries.isEmpty)
            let most = (0..<Transaction.operationsMax).map {
                Transaction.Operation.put(key: "k\($0)", value: [], lease: nil)
            }
            #expect(try await store.commit(Transaction(then: most)).succeeded)
            #expect(
                try await store.commit(Transaction(then: [.put(key: "k", value: megabyte, lease: nil)])).succeeded)
            #expect(try await store.read(.key("k"), at: nil).entries.first?.value == megabyte)
        }
    }
}
