import Glibc
import RoostLinux
import RoostModel
import RoostStore
import Testing

@Suite("A duty", .serialized)
struct DutyTests {
    @Test("one holds it; when that one leaves the next takes it, and the old fence fails", arguments: Backend.allCases)
    func handOver(backend: Backend) async throws {
        try await backend.with { store, _ in
            let first = DutyHolder("sweep", for: try HostName("ams1"), in: store, timeToLive: .seconds(3))
            let second = DutyHolder("sweep", for: try HostName("iad1"), in: store, timeToLive: .seconds(3))
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                var fence: Transaction.Compare?
                try await withThrowingTaskGroup(of: Void.self) { inner in
                    inner.addTask { await first.run() }
                    try await Self.wait("the first holds it") { first.isHeld }
                    group.addTask { await second.run() }
                    // Longer than one life: it must renew, and nobody else may get in.
                    let end = BootClock.now() + .seconds(4)
                    try await Self.wait("a life has passed") {
                        #expect(first.isHeld && !second.isHeld)
                        return BootClock.now() > end
                    }
                    #expect(try await store.get(StoreKeys.duty("sweep")) == "ams1")
                    fence = first.fence
                    #expect(try await Self.work(in: store, behind: fence))
                    inner.cancelAll()
                }
                #expect(!first.isHeld)
                try await Self.wait("the second holds it") { second.isHeld }
                #expect(try await Self.work(in: store, behind: fence) == false)
                #expect(try await Self.work(in: store, behind: second.fence))
                #expect(try await store.get(StoreKeys.duty("sweep")) == "iad1")
            }
            #expect(!second.isHeld)
            #expect(try await store.get(StoreKeys.duty("sweep")) == nil)
        }
    }

    @Test("it is lost when the key is taken away, and taken again", arguments: Backend.allCases)
    func takenAway(backend: Backend) async throws {
        try await backend.with { store, _ in
            let duty = DutyHolder("sweep", for: try HostName("ams1"), in: store, timeToLive: .seconds(2))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await duty.run() }
                defer { group.cancelAll() }
                try await Self.wait("it is held") { duty.isHeld }
                let fence = duty.fence
                try await store.delete(.key(StoreKeys.duty("sweep")))
                #expect(try await Self.work(in: store, behind: fence) == false)
                try await Self.wait("it is held anew") { duty.isHeld && duty.fence != fence }
            }
        }
    }

    @Test("it is not held past its deadline when the store is frozen")
    func frozenStore() async throws {
        try await EtcdCluster.with(members: 1) { cluster in
            let store = EtcdStore(endpoints: cluster.endpoints)
            let duty = DutyHolder("sweep", for: try HostName("ams1"), in: store, timeToLive: .seconds(2))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await duty.run() }
                defer { group.cancelAll() }
                try await Self.wait("it is held") { duty.isHeld }
                cluster.members[0].signal(SIGSTOP)
                let frozen = BootClock.now()
                try await Self.wait("it is lost") { !duty.isHeld }
                #expect(BootClock.now() - frozen < .milliseconds(2200))
                cluster.members[0].signal(SIGCONT)
                try await Self.wait("it is held again") { duty.isHeld }
            }
        }
    }

    /// etcd 3.4 may then end a lease that was kept alive all the time; whoever holds the duty must notice.
    @Test("one holds it again after etcd's leader was frozen and thawed")
    func frozenLeader() async throws {
        try await EtcdCluster.with(members: 3) { cluster in
            let duties = try cluster.endpoints.enumerated().map { index, endpoint in
                DutyHolder(
                    "sweep", for: try HostName("ams\(index)"),
                    in: EtcdStore(endpoints: [endpoint] + cluster.endpoints.filter { $0 != endpoint }),
                    timeToLive: .seconds(2))
            }
            let store = EtcdStore(endpoints: cluster.endpoints)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for duty in duties { group.addTask { await duty.run() } }
                defer { group.cancelAll() }
                try await Self.wait("one holds it") { duties.contains(where: \.isHeld) }
                let leader = try await cluster.leader()
                leader.signal(SIGSTOP)
                let frozen = BootClock.now()
                try await Self.wait("longer than a lease's life") { BootClock.now() - frozen > .seconds(4) }
                leader.signal(SIGCONT)
                for _ in 0..<3 {
                    let isOne = try await poll(for: .seconds(15)) { () -> Bool? in
                        let holders = duties.filter(\.isHeld)
                        guard holders.count == 1, let fence = holders.first?.fence else { return nil }
                        return (try? await Self.work(in: store, behind: fence)) == true ? true : nil
                    }
                    #expect(isOne == true)
                }
            }
        }
    }

    private static func work(in store: any Store, behind fence: Transaction.Compare?) async throws -> Bool {
        let fence = try #require(fence)
        return try await store.commit(
            Transaction(compares: [fence], then: [.put(key: "work", value: [], lease: nil)])
        ).succeeded
    }

    private static func wait(_ what: Comment, until condition: () -> Bool) async throws {
        let found = try await poll(for: .seconds(15), every: .milliseconds(20)) { condition() ? true : nil }
        try #require(found == true, what)
    }
}
