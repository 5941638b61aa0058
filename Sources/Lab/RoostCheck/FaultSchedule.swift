import RoostModel

/// What is broken when: follows from the seed, the places and the time alone.
struct FaultSchedule: Sendable, Hashable {
    /// What there is to break.
    struct Places: Sendable, Hashable {
        /// Where members may be.
        var memberHosts: [HostName]
        var storeHosts: [HostName]
        var edgeHosts: [HostName]
        var regions: [RegionCode]
        var clients: [String]

        init(
            memberHosts: [HostName], storeHosts: [HostName], edgeHosts: [HostName], regions: [RegionCode],
            clients: [String]
        ) {
            self.memberHosts = memberHosts
            self.storeHosts = storeHosts
            self.edgeHosts = edgeHosts
            self.regions = regions
            self.clients = clients
        }

        fileprivate var hosts: [HostName] {
            memberHosts + (storeHosts + edgeHosts).filter { !memberHosts.contains($0) }.uniqued
        }
    }

    /// Whole before the first fault, and after the last.
    static let calm = Duration.seconds(4)
    static let lengthMin = Duration.seconds(2)
    static let lengthMax = Duration.seconds(12)
    static let pauseMin = Duration.seconds(1)
    static let pauseMax = Duration.seconds(8)
    /// Of a hundred faults, so many have a second one beside them.
    static let pairsPercent = 40
    /// Draws for a second fault that can stand beside the first.
    private static let drawsMax = 8

    let faults: [PlannedFault]

    init(seed: UInt64, places: Places, duration: Duration) {
        var random = SplitMix64(seed: seed)
        var faults: [PlannedFault] = []
        var now = Self.calm
        let end = duration - Self.calm
        while now < end {
            let first = Self.fault(at: now, places, before: end, &random)
            faults.append(first)
            var over = first.at + first.length
            if Self.chance(Self.pairsPercent, &random),
                let second = Self.second(beside: first, places, before: end, &random)
            {
                faults.append(second)
                over = max(over, second.at + second.length)
            }
            now = over + Self.pick(Self.pauseMin, Self.pauseMax, &random)
        }
        self.faults = faults.sorted { $0.at < $1.at }
    }

    private static func second(
        beside first: PlannedFault, _ places: Places, before end: Duration, _ random: inout SplitMix64
    ) -> PlannedFault? {
        for _ in 0..<drawsMax {
            let at = first.at + pick(.zero, max(first.length, .seconds(1)), &random)
            guard at < end else { continue }
            let other = fault(at: at, places, before: end, &random)
            if other.things.isDisjoint(with: first.things) { return other }
        }
        return nil
    }

    private static func fault(
        at: Duration, _ places: Places, before end: Duration, _ random: inout SplitMix64
    ) -> PlannedFault {
        let kind = kind(places, &random)
        let length = min(pick(lengthMin, lengthMax, &random), max(end - at, .seconds(1)))
        return switch kind {
        case .killProcess: PlannedFault(kind: kind, at: at, length: .zero)
        case .killHost, .freezeHost, .freezeProcess, .stopEdge, .cut, .loss, .delay:
            PlannedFault(kind: kind, at: at, length: length)
        }
    }

    private static func kind(_ places: Places, _ random: inout SplitMix64) -> PlannedFault.Kind {
        // The primary more often than any other: there most is to be lost.
        let target: PlannedFault.Target =
            chance(50, &random) ? .primary : .host(choose(places.hosts, &random))
        switch random.next() % 11 {
        case 0, 1: return .killHost(target)
        case 2, 3: return .freezeHost(target)
        case 4: return process(places, &random) { .killProcess($0, $1) }
        case 5, 6: return process(places, &random) { .freezeProcess($0, $1) }
        case 7 where !places.edgeHosts.isEmpty: return .stopEdge(choose(places.edgeHosts, &random))
        case 8:
            let (a, b, isOneWay) = path(places, &random)
            return .loss(a, b, percent: Double(5 * (1 + random.next() % 8)), isOneWay: isOneWay)
        case 9:
            let (a, b, isOneWay) = path(places, &random)
            return .delay(a, b, milliseconds: Double(50 * (1 + random.next() % 20)), isOneWay: isOneWay)
        default:
            let (a, b, isOneWay) = path(places, &random)
            return .cut(a, b, isOneWay: isOneWay)
        }
    }

    private static func process(
        _ places: Places, _ random: inout SplitMix64,
        _ make: (PlannedFault.Program, PlannedFault.Target) -> PlannedFault.Kind
    ) -> PlannedFault.Kind {
        let program = choose(PlannedFault.Program.allCases, &random)
        switch program {
        case .etcd where !places.storeHosts.isEmpty:
            return make(program, .host(choose(places.storeHosts, &random)))
        case .postgres, .member, .roostd, .etcd:
            let isPrimary = chance(60, &random)
            let host = choose(places.memberHosts, &random)
            return make(program == .etcd ? .roostd : program, isPrimary ? .primary : .host(host))
        }
    }

    /// Two regions where there are two, else a client and a host.
    private static func path(_ places: Places, _ random: inout SplitMix64) -> (String, String, isOneWay: Bool) {
        let isOneWay = chance(40, &random)
        let host = choose(places.memberHosts, &random).text
        guard places.regions.count > 1, chance(70, &random) else {
            let other = choose(places.hosts.map(\.text).filter { $0 != host } + places.clients, &random)
            return (host, other, isOneWay)
        }
        let one = choose(places.regions, &random)
        let other = choose(places.regions.filter { $0 != one }, &random)
        return (one.text, other.text, isOneWay)
    }

    // MARK: - Chance

    private static func chance(_ percent: Int, _ random: inout SplitMix64) -> Bool {
        random.next() % 100 < UInt64(percent)
    }

    private static func choose<Element>(_ elements: [Element], _ random: inout SplitMix64) -> Element {
        elements[Int(random.next() % UInt64(elements.count))]
    }

    /// In tenths of a second.
    private static func pick(_ low: Duration, _ high: Duration, _ random: inout SplitMix64) -> Duration {
        let steps = UInt64(max(high - low, .zero).milliseconds / 100) + 1
        return low + .milliseconds(100 * Int64(random.next() % steps))
    }
}

extension Array where Element: Hashable {
    fileprivate var uniqued: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
