import RoostModel

/// What is wrong with an edge's link, said once and not at every round: what this process lacks fails a hundred times a
/// second, and an edge greets at each new link all the same. It is over when it has not happened for a while.
struct EdgeTroubles {
    /// So long without it, and it is a new one.
    static let calm = Duration.seconds(30)
    /// One that goes on is said again, for whoever reads the end of a log.
    static let reminder = Duration.seconds(600)
    /// Different ones at a time; of more, nothing is said.
    static let kindsMax = 8

    private struct Trouble {
        var what: String
        var saidAt: Moment
        var seenAt: Moment
    }

    private var troubles: [Trouble] = []

    /// - Parameter what: in the words in which it is said.
    /// - Returns: whether it is to be said.
    mutating func isNew(_ what: String, _ now: Moment) -> Bool {
        troubles.removeAll { now - $0.seenAt >= Self.calm }
        if let index = troubles.firstIndex(where: { $0.what == what }) {
            troubles[index].seenAt = now
            guard now - troubles[index].saidAt >= Self.reminder else { return false }
            troubles[index].saidAt = now
            return true
        }
        guard troubles.count < Self.kindsMax else { return false }
        troubles.append(Trouble(what: what, saidAt: now, seenAt: now))
        return true
    }
}
