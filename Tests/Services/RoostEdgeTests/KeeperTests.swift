import Glibc
import RoostEdgeLink
import RoostEdgeProcess
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
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

    @Test("What an edge can do is not said while another one has not spoken or its link has failed, whoever came first")
    func unheard() async throws {
        try await withKeeper { under in
            let (old, new) = (try ScriptedEdge(1, in: under.folder), try ScriptedEdge(2, in: under.folder))
            under.begin()
            try await old.letIn()
            try await new.admit()
            try new.report(isAccepting: false)
            // The second of two was sent after that was read.
            for _ in 0..<2 { #expect(try await new.hears { $0 == .beat }) }
            #expect(under.capabilities.isEmpty)
            try old.greet(capabilities: [])
            try old.report(isAccepting: true)
            #expect(try await old.hearsRetire())
            try old.report(isRetiring: true, isAccepting: true)
            for _ in 0..<2 { #expect(try await old.hears { $0 == .beat }) }
            old.hangUp()
            for _ in 0..<3 { #expect(try await new.hears { $0 == .beat }) }
            #expect(under.capabilities.isEmpty)
            try await old.letIn()
            try old.greet(capabilities: [])
            try old.report(isRetiring: true, isAccepting: false)
            let isSaid = try await poll(for: .seconds(10)) { under.capabilities == [Capability.ofEdges] ? true : nil }
            #expect(isSaid == true, "\(under.capabilities)")
        }
    }

    @Test("An edge that says nothing keeps the one beside it from nothing that it needs")
    func silentNeighbour() async throws {
        try await withKeeper { under in
            let (silent, serving) = (try ScriptedEdge(1, in: under.folder), try ScriptedEdge(2, in: under.folder))
            under.begin()
            try await silent.letIn()
            try await serving.admit()
            try serving.report(isAccepting: true)
            #expect(try await serving.hears { if case .routes = $0 { true } else { false } })
            for _ in 0..<2 { #expect(try await serving.hears { $0 == .beat }) }
            // Nobody knows yet whether one is to go.
            #expect(serving.hearsNothingOfRetiring)
            try silent.greet()
            try silent.report(isAccepting: false)
            #expect(try await silent.hearsRetire())
        }
    }

    @Test("An edge that says something all the time leaves time for the others")
    func noise() async throws {
        try await withKeeper { under in
            let (noisy, serving) = (try ScriptedEdge(1, in: under.folder), try ScriptedEdge(2, in: under.folder))
            under.begin()
            try await noisy.admit()
            try await serving.admit()
            try noisy.makeNoise()
            try serving.report(isAccepting: true)
            for _ in 0..<3 { #expect(try await serving.hears { $0 == .beat }) }
            noisy.hangUp()
        }
    }

    @Test("An edge at whose door too much waits holds nobody up")
    func fullDoor() async throws {
        try await withKeeper { under in
            let full = try ScriptedEdge(1, in: under.folder)
            let serving = try ScriptedEdge(2, in: under.folder)
            // More than its queue holds.
            var waiting: [Int32] = []
            defer { for file in waiting { close(file) } }
            while waiting.count < 10_000, let file = try? UnixSocket.connect(full.path) { waiting.append(file) }
            under.begin()
            try await serving.admit()
            try serving.report(isAccepting: true)
            let began = BootClock.now()
            for _ in 0..<3 { #expect(try await serving.hears { $0 == .beat }) }
            // A beat each second, and no wait at the door between them.
            #expect(BootClock.now() - began < .seconds(9))
        }
    }

    @Test("An edge whose link fails as it is told to retire is told again; one that has said that it does is not")
    func retiredTwice() async throws {
        try await withKeeper { under in
            let (old, new) = (try ScriptedEdge(1, in: under.folder), try ScriptedEdge(2, in: under.folder))
            under.begin()
            try await old.admit()
            try old.report(isAccepting: true)
            try await new.admit()
            try new.report(isAccepting: false)
            #expect(try await old.hearsRetire())
            // It went away before it obeyed.
            old.hangUp()
            try await old.admit()
            #expect(try await old.hearsRetire())
            try old.report(isRetiring: true, isAccepting: false)
            // The second of two beats was sent after that was read.
            for _ in 0..<2 { #expect(try await old.hears { $0 == .beat }) }
            old.hangUp()
            try await old.admit()
            #expect(try await old.hears { $0 == .beat } && old.hearsNothingOfRetiring)
        }
    }

    @Test("An edge whose successor dies before it is ready, or cannot be started, is replaced later")
    func lostSuccessor() async throws {
        try await withKeeper { under in
            let old = try ScriptedEdge(1, in: under.folder)
            var new: ScriptedEdge? = try ScriptedEdge(2, in: under.folder)
            under.begin()
            try await old.admit()
            try old.report(isAccepting: true)
            try await new?.admit()
            try new?.report(isInformed: false, isAccepting: false)
            let isThere = try await poll(for: .seconds(10)) {
                under.lines.all.count { $0["message"] == "an edge runs and is taken over" } == 2 ? true : nil
            }
            #expect(isThere == true)
            new = nil
            // There is no program that could be started: each attempt fails, and is not the last.
            let isTriedAgain = try await poll(for: .seconds(10)) {
                under.lines.all.count { $0["message"] == "the edge is replaced" } >= 2 ? true : nil
            }
            #expect(isTriedAgain == true, "\(under.lines.all)")
            #expect(!under.lines.all.contains { $0["message"]?.contains("is started again") == true })
        }
    }

    @Test("An edge that is found is told of a link to the guard when the guard has its other end, and not before")
    func guardFirst() async throws {
        try await withKeeper { under in
            let edge = try ScriptedEdge(1, in: under.folder)
            under.theGuard.isReached.store(false, ordering: .sequentiallyConsistent)
            under.begin()
            try await edge.admit()
            try edge.report(isAccepting: true)
            let isMissed = try await poll(for: .seconds(10)) {
                under.theGuard.missed.load(ordering: .sequentiallyConsistent) > 2 ? true : nil
            }
            #expect(isMissed == true)
            #expect(try await edge.hears { $0 == .beat } && edge.hearsNothingOfTheGuard)
            under.theGuard.isReached.store(true, ordering: .sequentiallyConsistent)
            #expect(try await edge.hears { $0 == .guarding })
        }
    }
}
