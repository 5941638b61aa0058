import RoostModel

// A standby whose Postgres lives and answers nothing. It confirms nothing and could not lead, so that it counts for nothing
// until it is ended and started again: behind the fence, where one that does not answer is ended (``PostgresOperation/sever``).
extension FailoverMember {
    /// - Returns: whether it was begun.
    mutating func endSilentStandby(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard case .following = phase, !needsFollow, now - answeredAt >= silenceLimit(rule), now >= retryAt,
            breakage != .leavesSilentStandby,
            !isConnected(rule), !isAnotherComingUp(rule, now)
        else { return false }
        silentEnds = min(silentEnds + 1, Self.silentEndsMax)
        silentEndAt = now
        phase = .severing
        detail =
            "Postgres has answered nothing for \((now - answeredAt).components.seconds) s: it is ended and started again"
        start(.sever)
        return true
    }

    /// When its Postgres last answered or was last being worked on, or since when this process can have heard it.
    private var answeredAt: Moment { max(observedAt, idleSince, stoodStillAt) }

    /// For longer each time: what a busy computer has made slow is not made quicker by this. Not all at once.
    func silenceLimit(_ rule: ClusterRule) -> Duration {
        let order = rule.members.filter { $0 != rule.leader }.firstIndex(of: name) ?? 0
        let doubled = timings.standbySilenceMin * (1 << silentEnds)
        return min(doubled, timings.standbySilenceMax) + timings.standbySilenceStagger * order
    }

    /// When to look again.
    func silenceEnds(_ rule: ClusterRule) -> Moment { answeredAt + silenceLimit(rule) }

    private static let silentEndsMax = 8

    /// It has answered for so long that what was before is over.
    mutating func noteAnswering(_ now: Moment) {
        if silentEnds > 0, now - silentEndAt >= timings.soundAfter { silentEnds = 0 }
    }

    /// As its leader sees it: it speaks, and may only have no time, or no session, for its supervisor. A recovery that makes
    /// progress shows here, too, once it is in the stream; before that it is an operation's.
    private func isConnected(_ rule: ClusterRule) -> Bool {
        guard rule.recruitment == nil, let beat = view?.heartbeat, beat.epoch == rule.epoch else { return false }
        return beat.standbys?.contains { $0.member == name && ($0.isConfirming || $0.behindBytes != nil) } ?? false
    }

    /// One at a time: its start makes all slower. But a start that comes to nothing may come to nothing for ever, and this one
    /// may be what commits wait for.
    private func isAnotherComingUp(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard now < silenceEnds(rule) + timings.comingMax else { return false }
        return rule.members.contains { member in
            guard member != name, member != rule.leader, let sign = liveSign(of: member, now) else { return false }
            return sign.report.state == .starting
        }
    }
}
