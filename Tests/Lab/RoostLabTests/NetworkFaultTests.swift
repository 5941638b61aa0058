import RoostWAN
import Testing

@testable import RoostLab

@Suite struct NetworkFaultTests {
    private func plan() throws -> LabPlan { LabPlan(try LabShape()) }

    private func rule(_ effect: NetworkFault.Effect, _ a: String, _ b: String, oneWay: Bool = false) throws -> WANRule {
        try plan().rule(NetworkFault(effect, from: a, to: b, isOneWay: oneWay))
    }

    @Test func aHostAndItsProviderAreJoinedByOneLink() throws {
        let cut = try rule(.cut, "ams2", "aurora")
        #expect(cut.drops && cut.flows.isEmpty)
        #expect(
            Set(cut.passages.map { "\($0.link) \($0.from)" }) == [
                "aurora-ams~ams2 ams2", "aurora-ams~ams2 aurora-ams",
            ])
        let oneWay = try rule(.loss(percent: 5), "ams2", "aurora", oneWay: true)
        #expect(oneWay.passages == [WANPassage(link: "aurora-ams~ams2", from: "ams2")])
        #expect(oneWay.lossPercent == 5 && !oneWay.drops)
    }

    @Test func regionsAreCutOnAllLinksAndForAllTraffic() throws {
        let cut = try rule(.cut, "iad", "ams")
        #expect(Set(cut.passages.map(\.link)) == ["aurora-ams~aurora-iad", "borealis-ams~borealis-iad"])
        #expect(cut.passages.count == 4)
        #expect(cut.flows.count == 2)
        #expect(cut.flows[0].from.sites == ["ams1", "ams2", "client-ams"])
        #expect(cut.flows[0].to.prefixes == ["198.18.2.0/24", "198.18.66.0/24", "198.18.130.0/24"])
        // Slow or lossy, a packet is caught once: by its addresses.
        #expect(try rule(.delay(milliseconds: 20), "ams", "iad").passages.isEmpty)
        #expect(try rule(.delay(milliseconds: 2.5), "ams", "iad").delayMicroseconds == 2500)
    }

    @Test func aHostAndItsOwnRegion() throws {
        let cut = try rule(.cut, "ams1", "ams")
        #expect(cut.passages.isEmpty, "its uplink stays")
        #expect(Set(cut.flows.map(\.from.sites)) == [["ams1"], ["ams1", "ams2", "client-ams"]])
    }

    @Test func aRegionAndAProvider() throws {
        let cut = try rule(.cut, "sin", "borealis")
        #expect(Set(cut.passages.map(\.link)) == ["borealis-sin~sin2"])
        let peering = try rule(.cut, "aurora", "borealis")
        #expect(Set(peering.passages.map(\.link)).count == 3)
    }

    @Test func nonsenseIsAUsageError() throws {
        let wrong: [(NetworkFault.Effect, String, String)] = [
            (.cut, "ams1", "ams1"), (.cut, "ams1", "mars"), (.cut, "client-ams", "borealis"),
            (.cut, "ams1", "borealis"),
            (.loss(percent: 0), "ams", "iad"), (.loss(percent: 101), "ams", "iad"), (.loss(percent: -1), "ams", "iad"),
            (.delay(milliseconds: 0), "ams", "iad"), (.delay(milliseconds: 10_001), "ams", "iad"),
            (.loss(percent: .nan), "ams", "iad"), (.delay(milliseconds: .infinity), "ams", "iad"), (.cut, "", "iad"),
        ]
        for (effect, a, b) in wrong {
            #expect {
                try rule(effect, a, b)
            } throws: {
                ($0 as? LabError)?.kind == .usage
            }
        }
    }

    @Test func faultsAreReadBackFromTheirRules() throws {
        let faults = [
            NetworkFault(.cut, from: "sin", to: "ams"), NetworkFault(.loss(percent: 12.5), from: "sin", to: "ams"),
            NetworkFault(.delay(milliseconds: 7), from: "sin1", to: "ams1", isOneWay: true),
        ]
        for fault in faults { #expect(NetworkFault(try plan().rule(fault)) == fault) }
        #expect(NetworkFault(.cut, from: "sin", to: "ams") == NetworkFault(.cut, from: "ams", to: "sin"))
        #expect(NetworkFault(WANRule(name: "power ams1")) == nil)
    }

    @Test func healingOneWayLeavesTheOther() {
        let both = NetworkFault(.cut, from: "ams", to: "iad")
        #expect(both.healed(from: "iad", to: "ams", isOneWay: false) == [])
        let left = NetworkFault(.cut, from: "ams", to: "iad", isOneWay: true)
        #expect(both.healed(from: "iad", to: "ams", isOneWay: true) == [left])
        #expect(left.healed(from: "ams", to: "iad", isOneWay: true) == [])
        #expect(left.healed(from: "iad", to: "ams", isOneWay: true) == [left])
        #expect(left.healed(from: "iad", to: "ams", isOneWay: false) == [])
        #expect(both.healed(from: "ams", to: "sin", isOneWay: false) == [both])
    }
}
