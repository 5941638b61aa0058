import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostLab

/// The real thing, without roostd: namespaces, roost-wan, BIRD.
@Suite(.serialized) struct PlanetNetworkTests {
    @Test func everybodyReachesEverybodyInTheTimeOfTheMap() async throws {
        try await LabOnThisComputer.with("map") { (planet: LabPlanet) async throws in
            for client in planet.plan.clients {
                for host in planet.plan.hosts {
                    let expected = Double(Geography.roundTripMilliseconds(client.region, host.region))
                    let result = try await planet.ping("\(host.underlay)", from: client.name, count: 5)
                    #expect(result.received == 5, "\(client.name) to \(host.name)")
                    let best = try #require(result.best)
                    #expect(best >= expected && best <= expected * 1.03 + 3, "\(client.name) to \(host.name)")
                }
            }
            // An address of its own speaks for a host, not the one of a link.
            let route = try await planet.run(in: "ams2", ["ip", "route", "get", "198.18.3.11"])
            #expect(route.standardOutput.contains("src 198.18.1.12"))
        }
    }

    @Test func clientsLandOnTheNearestEdgeThatLives() async throws {
        try await LabOnThisComputer.with("any") { (planet: LabPlanet) async throws in
            let edges = planet.plan.hosts.filter(\.isEdge)
            for edge in edges { try await planet.announce(from: edge) }
            for client in planet.plan.clients {
                let own = "\(client.region)2"
                #expect(try await planet.waits(for: 20) { try await planet.landing(of: client.name) == own })
            }
            // One uplink gone: the other provider still brings the client to its own region.
            try await planet.cut("ams2", "aurora")
            #expect(try await planet.waits(for: 20) { try await planet.landing(of: "client-ams") == "ams2" })
            try await planet.heal("ams2", "aurora")

            try await planet.killHost("ams2")
            let begin = BootClock.now()
            #expect(try await planet.waits(for: 10) { try await planet.reaches(LabPlanet.service, from: "client-ams") })
            #expect(BootClock.now() - begin < .seconds(5))
            #expect(try await planet.landing(of: "client-ams") == "iad2")
            #expect(try await planet.landing(of: "client-sin") == "sin2")

            try await planet.startHost("ams2")
            try await planet.announce(from: edges[0])
            #expect(try await planet.waits(for: 20) { try await planet.landing(of: "client-ams") == "ams2" })

            let birds = try planet.processes(named: "bird", on: "ams2")
            #expect(birds.count == 1)
            #expect(try planet.signal(SIGCONT, process: "bird", on: "ams2") == 0, "none is frozen")
            #expect(try planet.signal(SIGSTOP, process: "bird", on: "ams2") == 1)
            #expect(try await planet.faults().map(\.description) == ["process bird on ams2 is frozen"])
            #expect(try await planet.waits(for: 10) { try await planet.landing(of: "client-ams") == "iad2" })
            #expect(try await planet.reaches("198.18.1.12", from: "client-sin"), "the host itself stays reachable")
            try await planet.healAll()
            #expect(try await planet.waits(for: 20) { try await planet.landing(of: "client-ams") == "ams2" })
        }
    }

    @Test func faultsBreakWhatTheyNameAndNothingElse() async throws {
        try await LabOnThisComputer.with("fault") { (planet: LabPlanet) async throws in
            try await planet.cut("ams", "iad")
            #expect(try await !planet.reaches("198.18.2.11", from: "ams1"))
            #expect(try await !planet.reaches("198.18.2.12", from: "client-ams"))
            #expect(try await planet.reaches("198.18.3.11", from: "ams1"))
            #expect(try await planet.reaches("198.18.3.11", from: "iad1"))
            #expect(try await planet.faults().map(\.description) == ["cut ams <-> iad"])
            #expect(try await planet.heal("iad", "ams").count == 1)
            #expect(try await planet.waits(for: 15) { try await planet.reaches("198.18.2.11", from: "ams1") })

            try await planet.delay("ams1", "sin1", milliseconds: 50)
            let slow = try #require(try await planet.ping("198.18.3.11", from: "ams1").best)
            #expect((260...275).contains(slow))
            let other = try #require(try await planet.ping("198.18.3.12", from: "ams1").best)
            #expect((160...175).contains(other))

            try await planet.cut("ams1", "sin1", isOneWay: true)
            #expect(try await !planet.reaches("198.18.3.11", from: "ams1"))
            #expect(try await planet.faults().count == 2)
            try await planet.heal("ams1", "sin1")
            #expect(try await planet.faults().isEmpty)
            #expect(try await planet.reaches("198.18.3.11", from: "ams1"))

            try await planet.cut("ams1", "aurora")
            #expect(try await !planet.reaches("198.18.1.12", from: "ams1"))
            try await planet.heal("ams1", "aurora")
            try await planet.loss("client-ams", "ams1", percent: 100)
            #expect(try await !planet.reaches("198.18.1.11", from: "client-ams"))
            #expect(try await planet.reaches("198.18.1.12", from: "client-ams"))
            try await planet.healAll()
            #expect(try await planet.reaches("198.18.1.11", from: "client-ams"))
            await #expect(throws: LabError.self) { try await planet.cut("ams1", "nowhere") }
        }
    }

    @Test func hostsDieFreezeAndComeBackWithTheirDisk() async throws {
        try await LabOnThisComputer.with("life", regions: ["ams"], hostsPerRegion: 2) {
            (planet: LabPlanet) async throws in
            let host = try planet.host("ams1")
            let first = try #require(planet.firstProcess(of: "ams1"))
            _ = try await planet.run(
                in: "ams1",
                ["sh", "-c", "touch /run/volatile '\(planet.paths.hostState("ams1"))/kept'; setsid -f sleep 1000"])
            #expect(try await planet.run(in: "ams1", ["hostname"]).standardOutput == "ams1\n")
            #expect(try await planet.run(in: "ams1", ["sh", "-c", "exit 7"]).status == 7)

            try await planet.freezeHost("ams1")
            #expect(planet.state(of: host) == .frozen)
            #expect(try await planet.faults().map(\.description) == ["host ams1 is frozen"])
            try await planet.thawHost("ams1")
            #expect(planet.state(of: host) == .running)

            // A frozen host can lose its power too, and its loop devices with it.
            let image = planet.paths.hostState("ams1") + "/image"
            let loop = try await planet.run(
                in: "ams1", ["sh", "-c", "truncate -s 1M '\(image)' && losetup --find --show '\(image)'"])
            #expect(loop.status == 0, "\(loop.standardError)")
            try await planet.freezeHost("ams1")
            try await planet.killHost("ams1")
            #expect(planet.state(of: host) == .down)
            let loops = try await Command("losetup", ["--noheadings", "--list", "--output", "BACK-FILE"]).run()
            #expect(!loops.standardOutput.contains(image))
            #expect(kill(first, 0) != 0)
            #expect(try await !planet.reaches("198.18.1.11", from: "client-ams"))
            await #expect(throws: LabError.self) { try await planet.killHost("ams1") }
            await #expect(throws: LabError.self) { try await planet.freezeHost("ams1") }
            await #expect(throws: LabError.self) { try await planet.run(in: "ams1", ["true"]) }
            #expect(try await planet.status().hosts.map(\.state) == [.down, .running])

            try await planet.startHost("ams1")
            #expect(planet.state(of: host) == .running)
            #expect(try await planet.reaches("198.18.1.11", from: "client-ams"))
            let listing = try await planet.run(in: "ams1", ["ls", "/run", planet.paths.hostState("ams1")])
            #expect(listing.standardOutput.contains("kept"))
            #expect(!listing.standardOutput.contains("volatile"))
            await #expect(throws: LabError.self) { try await planet.startHost("ams1") }
        }
    }

    @Test func labsStandSideBySideAndLeaveNothing() async throws {
        let (one, two) = (LabOnThisComputer.name("one"), LabOnThisComputer.name("two"))
        try await LabOnThisComputer.with("one", regions: ["ams"], hostsPerRegion: 1) {
            (first: LabPlanet) async throws in
            try await LabOnThisComputer.with("two", regions: ["ams", "iad"], hostsPerRegion: 1) {
                (second: LabPlanet) async throws in
                #expect(Set([one, two]).isSubset(of: LabPlanet.names))
                try await first.cut("client-ams", "ams1")
                #expect(try await second.reaches("198.18.1.11", from: "client-ams"))
                #expect(try await !first.reaches("198.18.1.11", from: "client-ams"))
                #expect(try await second.faults().isEmpty)
                await #expect(throws: LabError.self) {
                    try await LabPlanet.up(first.plan.shape)
                }
                #expect(first.firstProcess(of: "ams1") != nil, "the attempt harmed nothing")
            }
            #expect(LabOnThisComputer.traces(of: two) == [])
            #expect(first.firstProcess(of: "ams1") != nil)
        }
        #expect(LabOnThisComputer.traces(of: one) == [])
        #expect(try await !LabPlanet.down(one))
    }

    /// At whatever step the builder is stopped, what it had built goes away.
    @Test(arguments: [1, 2, 3, 4]) func anInterruptedUpCleansUp(step: Int) async throws {
        let name = LabOnThisComputer.name("stop\(step)")
        let shape = try LabShape(name: name, hostsPerRegion: 1, isNetworkOnly: true)
        await #expect(throws: (any Error).self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (steps, continuation) = AsyncStream.makeStream(of: String.self)
                group.addTask {
                    _ = try await LabPlanet.up(shape) { continuation.yield($0) }
                }
                var seen = 0
                for await _ in steps {
                    seen += 1
                    if seen == step { break }
                }
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        #expect(LabOnThisComputer.traces(of: name) == [])
    }

    /// The builder is killed: nothing it would have done to clean up is done, and `down` finds all of it.
    @Test func downAfterACrash() async throws {
        let name = LabOnThisComputer.name("crash")
        let shape = try LabShape(name: name, regions: ["ams"], hostsPerRegion: 2, isNetworkOnly: true)
        let planet = try await LabPlanet.up(shape)
        // As a crash leaves it: half of the things gone, a namespace in use, the record lost.
        unlink(planet.paths.labFile)
        unlink(planet.paths.wanSocket)
        try await planet.freezeHost("ams1")
        _ = try await Command(
            "setsid", ["--fork", "nsenter", "--net=\(planet.paths.namespace("client-ams"))", "sleep", "1000"]
        ).run()
        await #expect(throws: LabError.self) {
            try await LabPlanet.up(shape)
        }
        #expect(try await LabPlanet.down(name))
        #expect(LabOnThisComputer.traces(of: name) == [])
        #expect(try await !LabPlanet.down(name))
    }
}
