/// Ids of machines and volumes that this host will never make (again), in the order in which they were given up. Orders
/// carry no fence: one that was under way while its thing was destroyed may come late, and would make a machine or a
/// volume that nobody wants and nobody knows of.
///
/// They are in the ledger, since an order can outlive the process: whoever sends it may have been asleep. Who gives an
/// order by an id of its own choice gives it once; a late one is late by a time-out, or by the sleep of a host that was
/// frozen and woke up.
struct RenouncedIDs: Sendable {
    struct Entry: Hashable, Sendable {
        var id: String
        /// Milliseconds of the wall clock.
        var since: Int64
    }

    private var entries: [Entry]
    private var ids: Set<String>

    static let countMax = 16_384
    static let ageMax = Duration.seconds(30 * 24 * 3600)

    /// - Parameter entries: the oldest first.
    init(_ entries: [Entry] = []) {
        self.entries = entries
        ids = Set(entries.map(\.id))
    }

    func contains(_ id: String) -> Bool { ids.contains(id) }

    /// The ids of these that are not known yet.
    func new(_ candidates: [String]) -> [String] { candidates.filter { !ids.contains($0) } }

    /// - Returns: what is forgotten for it. An eighth at once when there are too many, so that not every addition moves
    ///   all others.
    mutating func add(_ new: [String], at now: Int64) -> [String] {
        for id in new where ids.insert(id).inserted { entries.append(Entry(id: id, since: now)) }
        let oldest = now - Int64(Self.ageMax / .milliseconds(1))
        var forgotten = entries.prefix { $0.since < oldest }.count
        if entries.count - forgotten > Self.countMax {
            forgotten = max(forgotten, entries.count - Self.countMax + Self.countMax / 8)
        }
        guard forgotten > 0 else { return [] }
        let dropped = entries.prefix(forgotten).map(\.id)
        entries.removeFirst(forgotten)
        ids.subtract(dropped)
        return dropped
    }
}
