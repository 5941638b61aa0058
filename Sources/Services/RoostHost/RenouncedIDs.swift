/// Ids of machines and volumes that this host will never make (again), in the order in which they were given up. Orders
/// carry no fence: one that was under way while its thing was destroyed may come late, and would make a machine or a
/// volume that nobody wants and nobody knows of.
///
/// They are in the ledger, since an order can outlive the process: whoever sends it may have been asleep. Who gives an
/// order by an id of its own choice gives it once; a late one is late by a time-out, or by the sleep of a host that was
/// frozen and woke up. They are bounded by their number alone: a host's clock may begin in 1970 and be set later, and
/// then whatever it was given up at is long ago.
struct RenouncedIDs: Sendable {
    private var entries: [String]
    private var ids: Set<String>

    static let countMax = 16_384

    /// - Parameter entries: the oldest first.
    init(_ entries: [String] = []) {
        self.entries = entries
        ids = Set(entries)
    }

    func contains(_ id: String) -> Bool { ids.contains(id) }

    /// The ids of these that are not known yet.
    func new(_ candidates: [String]) -> [String] { candidates.filter { !ids.contains($0) } }

    /// - Returns: what is forgotten for it. An eighth at once when there are too many, so that not every addition moves
    ///   all others.
    mutating func add(_ new: [String]) -> [String] {
        for id in new where ids.insert(id).inserted { entries.append(id) }
        guard entries.count > Self.countMax else { return [] }
        let dropped = Array(entries.prefix(entries.count - Self.countMax + Self.countMax / 8))
        entries.removeFirst(dropped.count)
        ids.subtract(dropped)
        return dropped
    }
}
