import RoostModel
import RoostWire

/// The end of an operator's wish on the clock of this host that nobody sets. The hosts that a rule's wish is read at have wall
/// clocks of their own: one that is ahead would say that it is over before it is.
struct TermClock: Hashable {
    /// A term that the rule has, and what is left of it.
    struct Left: Hashable {
        var term: WishTerm
        var left: Duration
    }

    var term: WishTerm
    var endsAt: Moment

    /// - Parameters:
    ///   - known: what this host has counted so far; a term is looked at once.
    ///   - isComing: what is not known has come since the last look. What was there when this host began to listen is of any
    ///     time, and only the wall clocks say of which.
    static func of(
        _ term: WishTerm, among known: [TermClock], isComing: Bool, _ now: Moment, _ wallClock: Int64
    ) -> TermClock {
        if let same = known.first(where: { $0.term == term }) { return same }
        return TermClock(term: term, endsAt: now + (isComing ? term.length : term.left(at: wallClock)))
    }
}

extension ClusterVoices {
    /// What is left of a term of the rule's: as who hears the cluster has counted it. One that they had not heard of when they
    /// were asked has come since.
    ///
    /// - Parameter wallClock: counts only where nobody has counted.
    func left(of term: WishTerm, at wallClock: Int64) -> Duration {
        guard let terms else { return term.left(at: wallClock) }
        guard let known = terms.first(where: { $0.term == term }) else { return term.length }
        return min(max(.milliseconds(known.milliseconds), .zero), term.length)
    }
}
