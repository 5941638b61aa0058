import RoostModel
import Testing

@testable import RoostPlans

@Suite("Hosts that are lost together") struct HostLossesTests {
    private let start = Moment(sinceBoot: .seconds(1000))

    /// So many hosts in each region: `a1`, `a2`, `b1`, …
    private func hosts(_ counts: [String: Int]) throws -> [HostName: RegionCode] {
        var hosts: [HostName: RegionCode] = [:]
        for (region, count) in counts {
            for number in 1...count { hosts[try HostName("\(region)\(number)")] = try RegionCode(region) }
        }
        return hosts
    }

    private func brake(
        _ counts: [String: Int], without lost: [String], seats: Bool = true, after time: Duration = .zero
    ) throws -> String? {
        let hosts = try hosts(counts)
        let gone = Set(try lost.map { try HostName($0) })
        var losses = HostLosses()
        let reachable = Set(hosts.keys).subtracting(gone)
        for moment in [start, start + time] {
            losses.see(hosts, reachable: reachable, seats: seats ? Set(hosts.keys) : [], at: moment)
        }
        return losses.brake(at: start + time)
    }

    @Test("One alone is never too many, however few there are")
    func one() throws {
        #expect(try brake(["ams": 1], without: ["ams1"]) == nil)
        #expect(try brake(["ams": 2, "iad": 2, "sin": 2], without: ["ams1"]) == nil)
    }

    @Test("A third of the planet, or of a region, is")
    func thirds() throws {
        let planet = try #require(try brake(["ams": 2, "iad": 2, "sin": 2], without: ["ams1", "iad1"]))
        #expect(planet == "2 of 6 hosts are lost (ams1, iad1)")
        let region = try #require(try brake(["ams": 6, "iad": 6, "sin": 6], without: ["ams1", "ams2"]))
        #expect(region == "2 of 6 hosts of region ams are lost (ams1, ams2)")
        #expect(try brake(["ams": 7, "iad": 6, "sin": 6], without: ["ams1", "ams2"]) == nil)
    }

    @Test("More than three within ten minutes are, on a planet of any size, and no more when that is long ago")
    func recent() throws {
        let many = ["ams": 40, "iad": 40, "sin": 40]
        let three = ["ams1", "ams2", "iad1"]
        #expect(try brake(many, without: three) == nil)
        let four = three + ["sin1"]
        #expect(try brake(many, without: four) == "4 hosts were lost within 10 minutes (ams1, ams2, iad1, sin1)")
        #expect(try brake(many, without: four, after: .seconds(599)) != nil)
        #expect(try brake(many, without: four, after: .seconds(600)) == nil)
        #expect(try brake(many, without: four + ["sin2"])?.hasSuffix("and 1 more)") == true)
    }

    @Test("Hosts without members that went long ago hold up nothing for ever")
    func takenAway() throws {
        let few = ["ams": 3, "iad": 3]
        #expect(try brake(few, without: ["ams1", "ams2", "iad1"], seats: false) != nil)
        #expect(try brake(few, without: ["ams1", "ams2", "iad1"], seats: false, after: .seconds(3600)) == nil)
        #expect(try brake(few, without: ["ams1", "ams2", "iad1"], after: .seconds(3600)) != nil)
    }

    @Test("Who is back counts no more, and anew when it goes again")
    func back() throws {
        let hosts = try hosts(["ams": 40])
        let four = Set(try (1...4).map { try HostName("ams\($0)") })
        var losses = HostLosses()
        func see(_ lost: Set<HostName>, _ seconds: Int) {
            losses.see(
                hosts, reachable: Set(hosts.keys).subtracting(lost), seats: four, at: start + .seconds(seconds))
        }
        see(four, 0)
        #expect(losses.brake(at: start) != nil)
        see([], 10)
        #expect(losses.brake(at: start + .seconds(10)) == nil)
        see(four, 590)
        #expect(losses.brake(at: start + .seconds(610)) != nil)
    }

    @Test("Hosts with readers hold up readers for as long as they are lost, and members for no longer than empty ones")
    func readers() throws {
        let hosts = try hosts(["ams": 3, "iad": 3])
        let lost = try Set(["ams1", "iad1"].map { try HostName($0) })
        var losses = HostLosses()
        for moment in [start, start + HostLosses.newsMax] {
            losses.see(
                hosts, reachable: Set(hosts.keys).subtracting(lost), seats: [], readers: lost, at: moment)
            #expect(losses.brake(ofReaders: true, at: moment) != nil)
            #expect((losses.brake(at: moment) == nil) == (moment > start))
        }
    }
}
