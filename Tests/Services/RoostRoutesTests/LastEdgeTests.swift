import RoostModel
import RoostPlanet
import Testing

@testable import RoostRoutes

@Suite struct LastEdgeTests {
    @Test("The last edge that lets clients in is known, and what is stopped, away or no edge is none")
    func lastEdge() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"]) { planet in
            var records = Array(try planet["ams1"].watcher.planet.hosts.values)
            let (ams, iad, sin) = (try HostName("ams1"), try HostName("iad1"), try HostName("sin1"))
            func set(_ host: HostName, isEdge: Bool, isStopped: Bool) {
                for index in records.indices where records[index].host == host {
                    records[index].isEdge = isEdge
                    records[index].isEdgeStopped = isStopped
                }
            }
            func isLast(_ host: HostName, reachable: Set<HostName>) -> Bool {
                PlatformRoutes.isLastEdge(host, among: records, reachable: reachable)
            }
            #expect(records.count == 3)
            #expect(!isLast(ams, reachable: [ams, iad, sin]), "it is no edge")
            set(ams, isEdge: true, isStopped: false)
            #expect(isLast(ams, reachable: [ams, iad, sin]))
            set(iad, isEdge: true, isStopped: false)
            #expect(!isLast(ams, reachable: [ams, iad, sin]))
            #expect(isLast(ams, reachable: [ams, sin]), "the other one is away")
            #expect(isLast(ams, reachable: []))
            set(iad, isEdge: true, isStopped: true)
            #expect(isLast(ams, reachable: [ams, iad, sin]))
            set(ams, isEdge: true, isStopped: true)
            #expect(!isLast(ams, reachable: [ams, iad, sin]), "stopping it again changes nothing")
        }
    }
}
