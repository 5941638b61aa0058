import RoostModel

/// Which parts of the store a host follows, and how each is heard. Pure.
///
/// A part is fed by one watch at a time, so that what is known of it is at every moment what the store said at one
/// revision. A narrow part that a wider one replaces is fed by its own watch until the wider one has been heard.
struct FollowedParts: Sendable {
    /// One watch. A part that is followed again later has another one.
    struct Feed: Hashable, Sendable {
        var part: PlanetPart
        var number: UInt64
    }

    private enum Hearing { case never, lost, live }

    private(set) var wanted: Set<PlanetPart> = []
    private var hearings: [PlanetPart: (number: UInt64, hearing: Hearing)] = [:]
    private var numbers: UInt64 = 0
    /// Of those that every host follows, the ones that were ever heard.
    private var common: Set<PlanetPart> = []

    init(_ parts: Set<PlanetPart>) { _ = want(parts) }

    /// A part has not been heard yet.
    var isNew: Bool { hearings.values.contains { $0.hearing == .never } }

    func isFed(_ part: PlanetPart) -> Bool { hearings[part] != nil }

    var feeds: Set<Feed> { Set(hearings.map { Feed(part: $0.key, number: $0.value.number) }) }

    func has(_ feed: Feed) -> Bool { hearings[feed.part]?.number == feed.number }

    var isLive: Bool { isLive(wanted) }

    func isLive(_ parts: Set<PlanetPart>) -> Bool { parts.allSatisfy { hearings[$0]?.hearing == .live } }

    var hasHeard: Bool { common == PlanetPart.common }

    func hears(_ cluster: AppName) -> Bool {
        hearings[.clusters]?.hearing == .live || hearings[.cluster(cluster)]?.hearing == .live
    }

    /// - Returns: the parts that are not followed any more.
    mutating func want(_ parts: Set<PlanetPart>) -> [PlanetPart] {
        wanted = parts
        for part in parts where hearings[part] == nil {
            numbers += 1
            hearings[part] = (numbers, .never)
        }
        let gone = hearings.keys.filter { !parts.contains($0) && !isReplacedLater($0) }
        for part in gone { hearings[part] = nil }
        return gone
    }

    /// A wider part takes its place, and has not been heard yet.
    private func isReplacedLater(_ part: PlanetPart) -> Bool {
        wanted.contains { $0 != part && $0.has(part) && hearings[$0]?.hearing == .never }
    }

    /// - Returns: whether it is heard otherwise than before, and whether it has taken the place of others.
    mutating func note(_ feed: Feed, isHeard: Bool) -> (isOther: Bool, replaced: Bool) {
        guard let before = hearings[feed.part], before.number == feed.number else { return (false, false) }
        let hearing: Hearing = isHeard ? .live : before.hearing == .never ? .never : .lost
        hearings[feed.part] = (feed.number, hearing)
        guard isHeard else { return (before.hearing == .live, false) }
        if PlanetPart.common.contains(feed.part) { common.insert(feed.part) }
        let replaced = hearings.keys.filter { !wanted.contains($0) && $0 != feed.part && feed.part.has($0) }
        for part in replaced { hearings[part] = nil }
        return (before.hearing != .live, !replaced.isEmpty)
    }
}
