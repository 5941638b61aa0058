import RoostModel
import Testing

@testable import RoostCheck

@Suite struct FaultScheduleTests {
    private let places: FaultSchedule.Places

    init() throws {
        let hosts = try ["ams1", "iad1", "sin1", "ams2", "iad2", "sin2"].map { try HostName($0) }
        places = FaultSchedule.Places(
            memberHosts: Array(hosts[..<3]), storeHosts: Array(hosts[3...]), edgeHosts: Array(hosts[3...]),
            regions: try ["ams", "iad", "sin"].map { try RegionCode($0) },
            clients: ["client-ams", "client-iad", "client-sin"])
    }

    private func schedule(_ seed: UInt64, minutes: Int = 10) -> [PlannedFault] {
        FaultSchedule(seed: seed, places: places, duration: .seconds(60 * minutes)).faults
    }

    @Test func aSeedIsASchedule() {
        #expect(schedule(7) == schedule(7))
        #expect(Set((1...50).map { schedule($0) }).count == 50)
        #expect(schedule(7).map(\.description) == schedule(7).map(\.description))
    }

    @Test func faultsKeepToTheirBounds() {
        for seed: UInt64 in 1...100 {
            let faults = schedule(seed)
            #expect(faults.count > 20, "seed \(seed)")
            #expect(faults == faults.sorted { $0.at < $1.at })
            for fault in faults {
                #expect(fault.at >= FaultSchedule.calm)
                #expect(fault.at + fault.length <= .seconds(600) - FaultSchedule.calm + .seconds(1), "\(fault)")
                #expect(fault.length <= FaultSchedule.lengthMax)
                // Two at once, and never three.
                let beside = faults.filter { $0.at <= fault.at && fault.at < $0.at + $0.length && $0 != fault }
                #expect(beside.count <= 1, "seed \(seed): \(fault) beside \(beside)")
                #expect(beside.allSatisfy { $0.things.isDisjoint(with: fault.things) }, "seed \(seed): \(fault)")
            }
        }
    }

    /// In a night's runs everything that can be broken is, also two at once and one way.
    @Test func everyKindComes() {
        let faults = (1...50).flatMap { schedule($0) }
        var kinds: Set<String> = []
        for fault in faults {
            switch fault.kind {
            case .killHost(let target): kinds.insert("kill host \(target == .primary)")
            case .freezeHost(let target): kinds.insert("freeze host \(target == .primary)")
            case .killProcess(let program, _): kinds.insert("kill \(program.rawValue)")
            case .freezeProcess(let program, _): kinds.insert("freeze \(program.rawValue)")
            case .stopEdge: kinds.insert("edge")
            case .cut(_, _, let isOneWay): kinds.insert("cut \(isOneWay)")
            case .loss(_, _, _, let isOneWay): kinds.insert("loss \(isOneWay)")
            case .delay(_, _, _, let isOneWay): kinds.insert("delay \(isOneWay)")
            }
        }
        #expect(kinds.count == 19, "\(kinds.sorted())")
        let pairs = zip(faults, faults.dropFirst()).filter { first, second in
            second.at > first.at && second.at < first.at + first.length
        }
        #expect(pairs.count > 100)
    }

    @Test func aLabOfOneHostHasFaultsToo() throws {
        let alone = FaultSchedule.Places(
            memberHosts: [try HostName("ams1")], storeHosts: [], edgeHosts: [try HostName("ams1")],
            regions: [try RegionCode("ams")], clients: ["client-ams"])
        for seed: UInt64 in 1...50 {
            for fault in FaultSchedule(seed: seed, places: alone, duration: .seconds(120)).faults {
                if case .cut(let a, let b, _) = fault.kind { #expect(a != b) }
                if case .killProcess(let program, _) = fault.kind { #expect(program != .etcd) }
            }
        }
    }

    @Test func aScheduleIsWhatItSays() throws {
        let first = PlannedFault(kind: .freezeProcess(.member, .primary), at: .milliseconds(4500), length: .seconds(7))
        #expect(first.description == "4.5 s roost-pg on the primary's host frozen for 7.0 s")
        let second = PlannedFault(
            kind: .loss("ams", "iad", percent: 15, isOneWay: true), at: .seconds(5), length: .milliseconds(2300))
        #expect(second.description == "5.0 s loss ams -> iad 15% for 2.3 s")
        let third = PlannedFault(kind: .killProcess(.postgres, .host(try HostName("sin1"))), at: .zero, length: .zero)
        #expect(third.description == "0.0 s postgres on sin1 killed")
        #expect(first.isFreeze && !second.isFreeze && !third.isFreeze)
    }
}
