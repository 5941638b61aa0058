import RoostLinux
import RoostModel
import RoostStore
import Testing

/// What a watch means, on every backend.
@Suite("A watch", .serialized)
struct WatchTests {
    @Test("a listing, then every change, without a gap, under concurrent writes", arguments: Backend.allCases)
    func noGaps(backend: Backend) async throws {
        let (writers, each) = (4, 30)
        try await backend.with { store, _ in
            for index in 0..<5 { try await store.put("w/old\(index)", "x") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<writers {
                    group.addTask {
                        for number in 0..<each {
                            _ = try await store.commit(
                                Transaction(then: [
                                    .put(key: "w/\(writer)/a", value: Array("\(number)".utf8), lease: nil),
                                    .put(key: "w/\(writer)/b", value: Array("\(number)".utf8), lease: nil),
                                    .put(key: "elsewhere", value: [], lease: nil),
                                ]))
                        }
                    }
                }
                try await store.watching(.prefix("w/")) { record in
                    try await group.waitForAll()
                    let end = try await store.put("w/end", "1")
                    try await record.wait("the last change") { $0.last?.revision == end }
                    try Self.check(record.events, until: try await store.read(.prefix("w/"), at: end))
                }
            }
        }
    }

    /// A listing, then growing revisions, which lead to what the store has.
    static func check(_ events: [WatchEvent], until end: Listing) throws {
        var known: [String: Entry] = [:]
        var last = Revision.absent
        for (index, event) in events.enumerated() {
            switch event {
            case .listing(let listing):
                #expect(index == 0)
                known = Dictionary(uniqueKeysWithValues: listing.entries.map { ($0.key, $0) })
                last = listing.revision
            case .changes(let changes, let revision):
                #expect(revision.number == last.number + 1, "every revision here changes the range")
                for change in changes {
                    switch change {
                    case .put(let entry):
                        #expect(entry.modified == revision)
                        known[entry.key] = entry
                    case .delete(let key): known[key] = nil
                    }
                }
                if revision != end.revision { #expect(changes.count == 2, "a revision comes whole") }
                last = revision
            case .interrupted: Issue.record("interrupted")
            }
        }
        #expect(known.values.sorted { $0.key < $1.key } == end.entries)
    }

    @Test("from a revision it tells all that came since", arguments: Backend.allCases)
    func fromRevision(backend: Backend) async throws {
        try await backend.with { store, compact in
            let one = try await store.put("r/a", "1")
            try await store.put("other", "1")
            try await store.put("r/b", "2")
            try await store.delete(.prefix("r/"))
            try await store.watching(.prefix("r/"), from: one) { record in
                try await record.wait("three changes") { $0.count == 3 }
                #expect(record.events.map(\.texts) == [["r/a=1"], ["r/b=2"], ["-r/a", "-r/b"]])
            }
            try await store.watching(.key("r/b"), from: Revision(one.number + 1)) { record in
                try await record.wait("two changes") { $0.count == 2 }
                #expect(record.events.map(\.texts) == [["r/b=2"], ["-r/b"]])
            }
            try await store.put("r/c", "3")
            let now = try await store.put("other", "2")
            try await compact()
            try await store.watching(.prefix("r/"), from: one) { record in
                try await record.wait("a listing") { !$0.isEmpty }
                guard case .listing(let listing) = record.events.first else {
                    Issue.record("expected a listing, got \(record.events)")
                    return
                }
                #expect(listing.entries.map(\.key) == ["r/c"])
                #expect(listing.revision == now)
                try await store.put("r/d", "4")
                try await record.wait("the change after it") { $0.count == 2 }
                #expect(record.events.last?.texts == ["r/d=4"])
            }
        }
    }

    @Test("a revision of many large values comes whole", arguments: Backend.allCases)
    func largeRevision(backend: Backend) async throws {
        try await backend.with { store, _ in
            let value = [UInt8](repeating: 7, count: 220_000)
            var first: Revision?
            for round in 0..<4 {
                let outcome = try await store.commit(
                    Transaction(then: (0..<6).map { .put(key: "l/\(round)/\($0)", value: value, lease: nil) }))
                first = first ?? outcome.revision
            }
            try await store.delete(.prefix("l/"))
            try await store.watching(.prefix("l/"), from: first) { record in
                try await record.wait("five revisions") { $0.count == 5 }
                #expect(record.events.map(\.texts.count) == [6, 6, 6, 6, 24])
            }
        }
    }

    @Test("a slow reader misses nothing", arguments: Backend.allCases)
    func slowReader(backend: Backend) async throws {
        let count = 400
        try await backend.with { store, _ in
            let start = try await store.put("s", "0")
            let watch = store.watch(.key("s"), from: start)
            var reader = watch.makeAsyncIterator()
            #expect(await reader.next()?.texts == ["s=0"])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 1...count {
                    if index > 16 { try await group.next() }
                    group.addTask { try await store.put("s", "\(index)") }
                }
                try await group.waitForAll()
            }
            for number in 1...count {
                #expect(await reader.next()?.revision == Revision(start.number + Int64(number)))
            }
        }
    }

    @Test("many watches at once, and each ends when its reader is cancelled", arguments: Backend.allCases)
    func manyWatches(backend: Backend) async throws {
        let count = 20
        try await backend.with { store, _ in
            let records = (0..<count).map { _ in WatchRecord() }
            await withTaskGroup(of: Void.self) { group in
                for (index, record) in records.enumerated() {
                    group.addTask {
                        for await event in store.watch(.prefix("m/\(index)/"), from: nil) { record.add(event) }
                    }
                }
                for record in records { try? await record.wait("its listing") { $0.count == 1 } }
                for index in 0..<count { _ = try? await store.put("m/\(index)/k", "\(index)") }
                for record in records { try? await record.wait("its change") { $0.count == 2 } }
                group.cancelAll()
            }
            for (index, record) in records.enumerated() {
                #expect(record.events.last?.texts == ["m/\(index)/k=\(index)"])
            }
        }
    }
}
