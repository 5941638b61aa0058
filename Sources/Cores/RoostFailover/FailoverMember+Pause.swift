import RoostModel

// Maintenance: nobody but a person makes another member the leader. All that keeps two from leading is as ever: a leader
// without a lease stops, and one whose log has lost something does not lead.
extension FailoverMember {
    /// The end of a pause on the member's own clock.
    struct PauseClock: Hashable, Sendable {
        var wish: WishTerm
        var endsAt: Moment
    }

    /// The wall clock is looked at once: one that is set meanwhile neither ends a pause nor makes it longer.
    mutating func notePause(_ seen: StoreView, _ now: Moment) {
        guard let wish = seen.rule?.pause else {
            pause = nil
            return
        }
        guard pause?.wish != wish else { return }
        pause = PauseClock(wish: wish, endsAt: now + wish.left(at: seen.wallClock))
    }

    func isPaused(_ now: Moment) -> Bool {
        guard let pause, breakage != .ignoresPause else { return false }
        return now < pause.endsAt
    }

    /// Of whoever leads, or would have asked for a successor.
    func pauseWords(_ now: Moment) -> String? {
        guard isPaused(now) else { return nil }
        switch phase {
        case .claiming, .promoting, .restarting, .leading, .draining, .suspending:
            return "paused: it leads on until somebody asks for a switchover"
        case .resigning: return "paused: it cannot lead, and nobody else is asked to"
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .following, .quarantined, .leaving:
            return nil
        }
    }
}
