public import RoostModel

/// Which hosts are lost, and whether these are so many at once that something greater than a host has failed. Then what is
/// known of any of them is worth little, and copies of what they had would be too much for the others.
public struct HostLosses: Sendable {
    /// Of the planet's hosts, or of a region's, one in so many.
    public static var shareMin: Int { 3 }
    /// One alone is never too many.
    public static var countMin: Int { 2 }
    /// More than this many…
    public static var recentMax: Int { 3 }
    /// …in this time are too many, however large the planet is.
    public static var recentTime: Duration { .seconds(600) }
    /// A host without members that is lost for longer is no news: somebody has taken it away.
    public static var newsMax: Duration { .seconds(3600) }
    /// Named in words.
    static var namedMax: Int { 4 }

    private struct Loss {
        var region: RegionCode
        var since: Moment
        var hasMembers: Bool
        var hasReaders: Bool
    }

    private var lost: [HostName: Loss] = [:]
    private var here: [RegionCode: Int] = [:]

    public init() {}

    /// - Parameters:
    ///   - hosts: all of the planet.
    ///   - seats: hosts on which clusters have members.
    ///   - readers: hosts on which they have readers.
    public mutating func see(
        _ hosts: [HostName: RegionCode], reachable: Set<HostName>, seats: Set<HostName>, readers: Set<HostName> = [],
        at now: Moment
    ) {
        var present: [HostName: Loss] = [:]
        here = [:]
        for (host, region) in hosts {
            guard !reachable.contains(host) else {
                here[region, default: 0] += 1
                continue
            }
            let since = lost[host]?.since ?? now
            present[host] = Loss(
                region: region, since: since, hasMembers: seats.contains(host), hasReaders: readers.contains(host))
        }
        lost = present
    }

    /// Why nothing may be done about any of them now; nil: they are few.
    ///
    /// - Parameter ofReaders: about readers there; those hold up no member for longer than a host without anybody does.
    public func brake(ofReaders: Bool = false, at now: Moment) -> String? {
        let counted = lost.filter { _, loss in
            loss.hasMembers || ofReaders && loss.hasReaders || now - loss.since < Self.newsMax
        }
        let all = counted.keys.sorted()
        let total = here.values.reduce(0, +) + counted.count
        if Self.isTooMany(all.count, of: total) { return "\(all.count) of \(total) hosts are lost\(Self.names(all))" }
        for region in Set(counted.values.map(\.region)).sorted() {
            let there = all.filter { counted[$0]?.region == region }
            let total = here[region, default: 0] + there.count
            if Self.isTooMany(there.count, of: total) {
                return "\(there.count) of \(total) hosts of region \(region) are lost\(Self.names(there))"
            }
        }
        let recent = all.filter { counted[$0].map { now - $0.since < Self.recentTime } ?? false }
        guard recent.count > Self.recentMax else { return nil }
        return "\(recent.count) hosts were lost within \(Self.recentTime.components.seconds / 60) minutes"
            + Self.names(recent)
    }

    private static func isTooMany(_ lost: Int, of total: Int) -> Bool { lost >= countMin && lost * shareMin >= total }

    private static func names(_ hosts: [HostName]) -> String {
        let more = hosts.count - namedMax
        return " (" + hosts.prefix(namedMax).map(\.text).joined(separator: ", ")
            + (more > 0 ? " and \(more) more)" : ")")
    }
}
