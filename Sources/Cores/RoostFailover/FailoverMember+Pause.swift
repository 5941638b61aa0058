import RoostModel

// Maintenance: nobody but a person makes another member the leader. All that keeps two from leading is as ever: a leader
// without a lease stops, and one whose log has lost something does not lead.
extension FailoverMember {
    /// The end of a wish on the member's own clock.
    struct WishClock: Hashable, Sendable {
        var term: WishTerm
        var endsAt: Moment

        /// Who sees it come counts the whole of it: the clock on the wall of who asked may be another than this one. Of who did
        /// not, the clock on the wall is looked at once: one that is set meanwhile neither ends a wish nor makes it longer.
        static func note(
            _ term: WishTerm?, over known: WishClock?, isComing: Bool, at wallClock: Int64, _ now: Moment
        ) -> WishClock? {
            guard let term else { return nil }
            if let known, known.term == term { return known }
            return WishClock(term: term, endsAt: now + (isComing ? term.length : term.left(at: wallClock)))
        }
    }

    /// - Parameter isComing: what is new has come since the view before, a moment ago.
    mutating func noteWishes(_ seen: StoreView, isComing: Bool, _ now: Moment) {
        pause = WishClock.note(seen.rule?.pause, over: pause, isComing: isComing, at: seen.wallClock, now)
        restartTerm = WishClock.note(
            seen.rule?.restart?.term, over: restartTerm, isComing: isComing, at: seen.wallClock, now)
    }

    func isPaused(_ now: Moment) -> Bool {
        guard let pause, breakage != .ignoresPause else { return false }
        return now < pause.endsAt
    }

    /// Of who would have asked for a successor. That there is a pause the cluster's status says by itself, and a leader that
    /// leads on says why it lets nobody in.
    func pauseWords(_ now: Moment) -> String? {
        guard isPaused(now) else { return nil }
        switch phase {
        case .resigning: return "paused: it cannot lead, and nobody else is asked to"
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending,
            .quarantined, .leaving:
            return nil
        }
    }
}
