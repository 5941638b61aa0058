import RoostEdgeLink
import RoostEdgeProcess
import RoostLinux
import RoostModel
import RoostWire
import Testing

@Suite("What roostd hears of its edges, and tells them", .serialized, .timeLimit(.minutes(2)))
struct KeeperTests {
    @Test("What an edge can do is said when every edge that lets clients in has said it, and not before")
    func capabilities() async throws {
        try await withKeeper { under in
            let (old, new) = (try ScriptedEdge(1, in: under.folder), try ScriptedEdge(2, in: under.folder))
            under.begin()
            // A program of a version before says nothing of lists; the one that replaces it does.
            try await old.admit(capabilities: [])
            try old.report(isAccepting: true)
            try await new.admit()
            try new.report(isAccepting: false)
            #expect(try await old.hearsRetire())
            // It retires, and still takes whom it finds in the queue of its sockets.
            try old.report(isRetiring: true, isAccepting: true)
            #expect(try await new.hears { $0 == .beat } && under.capabilities.isEmpty)
            try old.report(isRetiring: true, isAccepting: false)
            let isSaid = try await poll(for: .seconds(10)) { under.capabilities == [Capability.ofEdges] ? true : nil }
            #expect(isSaid == true, "\(under.capabilities)")
            // The new one is gone, and one of the version before comes back: what was said is taken back.
            new.hangUp()
            try await new.admit(capabilities: ["of tomorrow"])
            let isTakenBack = try await poll(for: .seconds(10)) { under.capabilities.count == 2 ? true : nil }
            #expect(isTakenBack == true)
            #expect(under.capabilities.last?.isDisjoint(with: Capability.ofEdges) == true)
        }
    }
}
