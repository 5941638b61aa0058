import Glibc
import RoostLinux
import Testing

@testable import RoostWAN

/// The program between real namespaces.
@Suite(.serialized) struct CarriageTests {
    @Test func delaysAreKept() async throws {
        try await Cable.with("delay", delayMicroseconds: 20_000) { (cable: Cable) async throws in
            let result = try await cable.ping(count: 50)
            #expect(result.received == 50)
            let milliseconds = try #require(result.milliseconds)
            #expect((40.0...41).contains(milliseconds))
            let changed = WANLinkChange(name: "cable", towardsB: WANDirection(delayMicroseconds: 5000))
            try await cable.client.send(WANRequest(.setLink, link: changed))
            let shorter = try #require(try await cable.ping(count: 50).milliseconds)
            #expect((25.0...26).contains(shorter))
        }
    }

    @Test func lossIsAboutWhatWasAskedFor() async throws {
        try await Cable.with("loss", delayMicroseconds: 0, lossPercent: 20) { (cable: Cable) async throws in
            _ = try await cable.ping(count: 300, interval: 0.002)
            let counters = try await cable.counters()
            #expect(counters.packets >= 300)
            let share = Double(counters.droppedByLink) / Double(counters.packets)
            #expect((0.1...0.3).contains(share))
            #expect(counters.delivered + counters.droppedByLink <= counters.packets)
        }
    }

    @Test func rulesDropOneDirectionAndAreHealed() async throws {
        try await Cable.with("rule", delayMicroseconds: 100) { (cable: Cable) async throws in
            #expect(try await cable.ping(count: 5).received == 5)
            let rule = WANRule(
                name: "deaf", drops: true,
                flows: [
                    WANFlow(
                        from: WANParty(sites: ["right"], prefixes: [Cable.rightAddress]),
                        to: WANParty(sites: ["left"], prefixes: [Cable.leftAddress]))
                ])
            try await cable.client.send(WANRequest(.addRules, rules: [rule]))
            let before = try await cable.counters()
            #expect(try await cable.ping(count: 5).received == 0)
            let after = try await cable.counters()
            #expect(after.delivered >= before.delivered + 5, "the way there is open")
            #expect(try await cable.client.send(WANRequest(.list)).rules == [rule])
            try await cable.client.send(WANRequest(.removeRules, names: ["deaf"]))
            #expect(try await cable.ping(count: 5).received == 5)
        }
    }

    @Test func aFullQueueDropsTheTail() async throws {
        try await Cable.with("queue", delayMicroseconds: 500_000, queueBytesMax: 20 * 84) {
            (cable: Cable) async throws in
            _ = try await cable.ping(count: 60, interval: 0.002)
            let counters = try await cable.counters()
            #expect(counters.droppedForRoom >= 15)
            #expect(counters.delivered + counters.droppedForRoom <= counters.packets)
        }
    }

    @Test func aSiteIsUnpluggedAndPluggedInAgain() async throws {
        try await Cable.with("plug", delayMicroseconds: 100) { (cable: Cable) async throws in
            try await cable.client.send(WANRequest(.unplug, site: "right"))
            #expect(try await !cable.hasInterface(cable.right))
            #expect(try await cable.ping(count: 3).received == 0)
            try await cable.client.send(WANRequest(.plug, site: "right"))
            try await cable.configure(cable.right, address: Cable.rightAddress, peer: Cable.leftAddress)
            #expect(try await cable.ping(count: 3).received == 3)
        }
    }

    @Test func wrongRequestsAreRefusedAndNothingBreaks() async throws {
        try await Cable.with("wrong", delayMicroseconds: 100) { (cable: Cable) async throws in
            await #expect(throws: WANError.self) {
                try await cable.client.send(WANRequest(.unplug, site: "nowhere"))
            }
            await #expect(throws: WANError.self) {
                try await cable.client.send(WANRequest(.setLink, link: WANLinkChange(name: "rope")))
            }
            let unknown = WANRule(name: "x", passages: [WANPassage(link: "rope", from: "left")])
            await #expect(throws: WANError.self) {
                try await cable.client.send(WANRequest(.addRules, rules: [unknown]))
            }
            #expect(try await cable.ping(count: 3).received == 3)
        }
    }

    @Test func endsCleanlyAndTheDevicesVanish() async throws {
        try await Cable.with("end", delayMicroseconds: 100) { (cable: Cable) async throws in
            #expect(try await cable.hasInterface(cable.left))
            #expect(await cable.terminate() == 0)
            #expect(try await !cable.hasInterface(cable.left))
            #expect(access(cable.folder + "/control", F_OK) != 0)
        }
    }
}
