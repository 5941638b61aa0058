import Foundation
import RoostControl
import RoostLinux
import RoostModel
import RoostPlanet
import RoostWire
import Testing

@testable import RoostRoutes

/// The last edge that lets clients in, and orders to stop it.
@Suite(.timeLimit(.minutes(1))) struct LastEdgeTests {
    private static let stop = #"{"state":"stopped"}"#
    private static let start = #"{"state":"started"}"#

    private static func line(_ host: String) -> String { "POST /v1/platform/hosts/\(host)/edge" }

    /// Until every host knows which hosts are edges.
    private func run(
        _ names: [String], edges: [String], _ body: @Sendable (PlanetUnderTest) async throws -> Void
    ) async throws {
        try await PlanetUnderTest.run(names, edges: edges) { planet in
            let isKnown = try await poll(for: .seconds(10)) {
                planet.hosts.values.allSatisfy { host in
                    host.watcher.planet.hosts.values.count { $0.isEdge } == edges.count
                } ? true : nil
            }
            try #require(isKnown == true)
            try await body(planet)
        }
    }

    @Test(
        "The last edge that lets clients in is stopped by force only, and what is stopped already may be stopped again")
    func inTurn() async throws {
        try await run(["ams1", "iad1", "sin1"], edges: ["ams1", "iad1"]) { planet in
            let (ams, iad, sin) = (try planet["ams1"], try planet["iad1"], try planet["sin1"])
            // It is not told that the other one was stopped; neither is who hears it a moment later.
            try await planet.deafen("iad1")
            #expect(try await sin.call(Self.line("ams1"), Self.stop).status == 200)
            let refused = try await iad.call(Self.line("iad1"), Self.stop)
            #expect(refused.status == 412 && refused.text.contains("--force"), "\(refused.text)")
            #expect(ams.edge?.isServing == false && iad.edge?.isServing == true)
            // It was refused, and its wish is taken back.
            #expect(try await sin.call(Self.line("ams1"), Self.stop).status == 200)
            #expect(try await sin.call(Self.line("ams1"), Self.start).status == 200)
            #expect(try await sin.call(Self.line("ams1"), Self.stop).status == 200)
            #expect(try await iad.call(Self.line("iad1"), #"{"state":"stopped","force":true}"#).status == 200)
            #expect(iad.edge?.isServing == false)
            #expect(try await sin.call(Self.line("iad1"), Self.stop).status == 200)
        }
    }

    @Test("An edge that is on its way off the air is none that stays")
    func whileOneDrains() async throws {
        try await run(["ams1", "iad1"], edges: ["ams1", "iad1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            let edge = try #require(ams.edge)
            edge.hold(true)
            defer { edge.hold(false) }
            async let stopped = ams.call(Self.line("ams1"), Self.stop)
            let isDraining = try await poll(for: .seconds(10), every: .milliseconds(5)) { edge.isDraining ? true : nil }
            #expect(isDraining == true && edge.isServing)
            #expect(try await iad.call(Self.line("iad1"), Self.stop).status == 412)
            edge.hold(false)
            #expect(try await stopped.status == 200)
            #expect(iad.edge?.isServing == true)
        }
    }

    @Test("Of edges that are all stopped at once one stays")
    func atOnce() async throws {
        let names = ["ams1", "iad1", "sin1"]
        try await run(names, edges: names) { planet in
            for _ in 0..<10 {
                let replies = try await withThrowingTaskGroup(of: Int.self) { group in
                    for host in planet.hosts.values {
                        group.addTask { try await host.call(Self.line(host.name.text), Self.stop).status }
                    }
                    return try await group.reduce(into: [Int]()) { $0.append($1) }
                }
                #expect(replies.allSatisfy { [200, 412].contains($0) } && replies.contains(412), "\(replies)")
                #expect(planet.hosts.values.contains { $0.edge?.isServing == true })
                for host in planet.hosts.values {
                    #expect(try await host.call(Self.line(host.name.text), Self.start).status == 200)
                }
            }
        }
    }

    /// Other hosts that can be reached, and answer nothing but this.
    private struct RefusingPeers: Peers {
        let code: Refusal.Code

        func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply {
            throw Refusal(code, "host \(host)")
        }
    }

    @Test(
        "An edge that does not say that it stays does not count; one that does not know the question counts by its record"
    )
    func silent() async throws {
        try await run(["ams1", "iad1"], edges: ["ams1", "iad1"]) { planet in
            let near = try planet["ams1"]
            func isStopped(_ code: Refusal.Code) async -> Bool {
                let edge = FakeEdge()
                let view = PlanetView(
                    agent: near.agent, watcher: near.watcher, peers: RefusingPeers(code: code),
                    reachability: near.view.reachability, apps: AppDirectory(store: planet.store))
                let orders = EdgeOrders(view: view) {
                    edge.isServing
                } isReliedOn: {
                    edge.isReliedOn
                } set: { state throws(Refusal) in
                    await edge.set(state)
                }
                do throws(Refusal) { try await orders.carryOut(EdgeRequest(state: .stopped)) } catch {
                    #expect(error.code == .failedPrecondition && orders.standing.stays)
                }
                return !edge.isServing
            }
            #expect(await !isStopped(.unavailable))
            #expect(await !isStopped(.failed))
            #expect(await isStopped(.notFound))
        }
    }

    @Test("An edge that hangs, or that nobody hears of, is none that goes on letting clients in")
    func failing() async throws {
        try await run(["ams1", "iad1"], edges: ["ams1", "iad1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            ams.edge?.fail(true)
            let refused = try await iad.call(Self.line("iad1"), Self.stop)
            #expect(refused.status == 412 && refused.text.contains("--force"), "\(refused.text)")
            #expect(iad.edge?.isServing == true)
            // It may be stopped itself: the other one is there.
            #expect(try await ams.call(Self.line("ams1"), Self.stop).status == 200)
            #expect(try await ams.call(Self.line("ams1"), Self.start).status == 200)
            ams.edge?.fail(false)
            #expect(try await iad.call(Self.line("iad1"), Self.stop).status == 200)
        }
    }

    @Test("A host that is no edge is told so, and the only edge stays")
    func onlyOne() async throws {
        try await run(["ams1", "iad1"], edges: ["ams1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            #expect(try await iad.call(Self.line("ams1"), Self.stop).status == 412)
            #expect(ams.edge?.isServing == true)
            let none = try await ams.call(Self.line("iad1"), Self.stop)
            #expect(none.status == 412 && none.text.contains("no edge"), "\(none.text)")
        }
    }

    @Test("Hosts of two versions understand each other's word of their edge")
    func standing() throws {
        let text = Data(#"{"stays":true,"x_future":[1]}"#.utf8)
        #expect(try JSONDecoder().decode(EdgeOrders.Standing.self, from: text).stays)
        let written = String(decoding: try JSONEncoder().encode(EdgeOrders.Standing(stays: false)), as: UTF8.self)
        #expect(written == #"{"stays":false}"#)
    }
}
