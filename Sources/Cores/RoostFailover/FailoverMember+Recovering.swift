import RoostModel

// A leader whose Postgres takes long to come up. Others may lead meanwhile; but what it has done of its recovery is not
// thrown away before they do.
extension FailoverMember {
    mutating func noteDown(_ now: Moment) {
        switch phase {
        case .restarting: downSince = downSince ?? now
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .following, .claiming, .promoting, .leading, .draining, .suspending, .quarantined,
            .resigning, .leaving:
            downSince = nil
        }
    }

    /// Longer after each failover that comes soon after another: who is named next may be as slow.
    var recoveryLimit: Duration { listening.hearing.escalated(timings.recoveryPatience, upTo: timings.isolationMax) }

    /// Calls a recruitment although its Postgres may yet come up.
    mutating func offerOffice(_ rule: ClusterRule, _ now: Moment) {
        guard breakage != .keepsOfficeWhileDown, let downSince, now - downSince >= recoveryLimit,
            running != nil, othersCouldLead(rule, now), !isPaused(now)
        else { return }
        detail = "its Postgres has not come up for long, while others could lead"
        proposeSuccession(rule, now)
    }

    /// Its own offer is in the rule: the members that can lead decide among themselves, and its Postgres goes on. Once they
    /// have, or its lease has ended, or its Postgres is there, it answers as everybody does. Nothing can be confirmed
    /// by it: those who answer have left it.
    func recoversMeanwhile(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard let recruitment = rule.recruitment, recruitment.proposer == name, rule.leader == name,
            recruitment.reason == .leaderResigned, rule.epoch == state.promised, running != nil, holdsLease(now)
        else { return false }
        switch phase {
        case .restarting: return true
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .following, .claiming, .promoting, .leading, .draining, .suspending, .quarantined,
            .resigning, .leaving:
            return false
        }
    }
}
