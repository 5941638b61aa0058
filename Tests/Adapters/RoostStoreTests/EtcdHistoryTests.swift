import Logging
import RoostLinux
import RoostModel
import Testing

@testable import RoostStore

@Suite("A store that went back", .serialized)
struct EtcdHistoryTests {
    private func header(_ revision: Int64, of cluster: UInt64? = 7) -> EtcdHeader {
        EtcdHeader(cluster_id: cluster.map { EtcdIdentity($0) }, revision: EtcdInteger(revision))
    }

    private let history = EtcdHistory(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })

    @Test("a lower revision tells of another history only where it was asked for after the higher one was there")
    func lowerRevision() {
        let first = history.present
        let early = history.mark
        history.note(header(10), since: early)
        history.note(header(9), since: early)
        #expect(history.present == first, "two answers came in another order")
        let late = history.mark
        history.note(header(10), since: late)
        #expect(history.present == first)
        history.note(header(9), since: late)
        #expect(history.present != first)
        // What was asked before that may be of either.
        let second = history.present
        history.note(header(20), since: late)
        history.note(header(9), since: history.mark)
        history.note(header(11), since: history.mark)
        #expect(history.present == second)
    }

    @Test("another cluster's answer tells of another history, whatever its revision; one without a name does not")
    func otherCluster() {
        history.note(header(10), since: history.mark)
        let first = history.present
        history.note(header(11, of: nil), since: history.mark)
        #expect(history.present == first)
        history.note(header(12, of: .max), since: history.mark)
        #expect(history.present != first)
        let second = history.present
        history.note(header(12, of: .max), since: history.mark)
        #expect(history.present == second)
    }

    @Test("a watch begins anew with what a restored etcd has", arguments: [false, true])
    func restored(isOtherCluster: Bool) async throws {
        try await EtcdCluster.with(members: 1) { cluster in
            let member = cluster.members[0]
            let store = EtcdStore(endpoints: cluster.endpoints)
            let kept = try await store.put("k/1", "kept")
            try await member.keepCopy()
            try await store.watching(.prefix("k/")) { record in
                try await record.wait("the listing") { $0.count == 1 }
                for number in 1...20 { try await store.put("k/2", "\(number)") }
                let last = try await store.put("k/1", "lost")
                try await record.wait("the last change") { $0.last?.revision == last }
                member.kill9()
                try await record.wait("the interruption") { $0.last == .interrupted }
                try await member.restore(token: isOtherCluster ? "another" : nil)
                try member.start()
                try await record.wait("what there was") {
                    guard case .listing(let listing)? = $0.last else { return false }
                    return listing.entries.map(\.modified) == [kept] && listing.entries[0].value == Array("kept".utf8)
                }
                let next = try #require(try await poll(for: .seconds(5)) { try? await store.put("k/3", "new") })
                #expect(next < last)
                try await record.wait("the next change") { $0.last?.revision == next }
            }
        }
    }
}
