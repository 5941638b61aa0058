import RoostModel

// A leader that too few standbys stream from. It makes way where another could do better, and nowhere else: by each change of
// leader a log gets an end that has to be taken back before its member can follow, so that, with everybody slow, the next
// leader has no standby in time either.
extension FailoverMember {
    /// No progress for long, and others could lead.
    func isIsolated(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) -> Bool {
        // A Postgres that answers late says nothing about now.
        guard let since = reigning.isolatedSince, now - reigning.heardAt <= timings.sampleAgeMax else { return false }
        if breakage == .resignsWhenAlone {
            return now - since >= timings.isolationPatience && othersCouldLead(rule, now)
        }
        return now - since >= isolationLimit(rule, now) && othersCouldLead(rule, now)
    }

    /// With nothing in the way between this leader and so many that they would do, they are slow, and would be slow to follow
    /// another. But whatever keeps them away may be here.
    func isolationLimit(_ rule: ClusterRule, _ now: Moment) -> Duration {
        let heard = rule.members.filter { hearEachOther($0, now) }
        let patience =
            heard.count < rule.confirmations ? timings.isolationPatience : timings.isolationPatienceWhileHeard
        return listening.hearing.escalated(patience, upTo: timings.isolationMax)
    }

    /// Notes whether too few stream. A standby that is getting there counts as one that does, as long as there are enough of
    /// both: from here it gets what another leader would have to give it from the beginning. One that only begins with it, again
    /// and again, may do better elsewhere.
    func noteIsolation(_ sample: PrimaryObservation, _ reigning: inout Reigning, _ rule: ClusterRule, _ now: Moment) {
        let moves = reigning.catchesUp(sample)
        guard !rule.commitQuorum.holds(sample.standbys) else {
            reigning.isolatedSince = nil
            reigning.fewSince = nil
            return
        }
        let few = reigning.fewSince ?? now
        reigning.fewSince = few
        let comes = now - few < timings.comingMax && comesToStream(rule, sample, now)
        if reigning.isolatedSince == nil || breakage != .resignsWhenAlone && (moves || comes) {
            reigning.isolatedSince = now
        }
    }

    private func comesToStream(_ rule: ClusterRule, _ sample: PrimaryObservation, _ now: Moment) -> Bool {
        let counted = rule.commitQuorum.standbys.filter { member in
            if sample.standbys.contains(where: { $0.member == member && $0.isStreaming }) { return true }
            guard hearEachOther(member, now), let sign = liveSign(of: member, now) else { return false }
            return sign.report.promised == rule.epoch && sign.report.isBecomingStandby
        }
        return counted.count >= rule.confirmations
    }

    /// Nothing is in the way, in either direction: lately enough for one that is slow to speak.
    private func hearEachOther(_ member: MemberName, _ now: Moment) -> Bool {
        guard let mutualAt = listening.hearing.voice(of: member)?.mutualAt else { return false }
        return now - mutualAt <= timings.acquaintanceMax
    }

    func liveSign(of member: MemberName, _ now: Moment) -> MemberSign? {
        signsOfLife.first {
            $0.report.member == member && $0.changedAt > .zero && now - $0.changedAt <= timings.reportInterval * 3
        }
    }

    /// Enough standbys live, hear the store and do not stream from this leader, to choose one among themselves; and one of them
    /// could be followed by as many as it needs.
    func othersCouldLead(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard rule.members.count > 2 else { return false }
        let lost = rule.members.filter { member in
            guard member != name, let report = liveSign(of: member, now)?.report else { return false }
            return !report.isStreaming && report.promised == rule.epoch && report.couldLead
                && (breakage == .resignsWhenAlone || !report.isBecomingStandby)
        }
        // Those that stream, and this leader, promise as well when it has left; and prove nothing that the others need.
        let promising = rule.members.count { $0 == name || liveSign(of: $0, now) != nil }
        guard rule.isCovered(by: lost), promising >= rule.answersNeeded else { return false }
        if breakage == .resignsWhenAlone { return true }
        return lost.contains { candidate in
            let followers = rule.members.filter {
                $0 != candidate && $0 != name && liveSign(of: $0, now) != nil && !areDeaf(candidate, $0, now)
            }
            return followers.count >= rule.confirmations
        }
    }

    /// Enough standbys live, hear the store and have data, to choose one among themselves, whether or not they stream.
    func othersCouldTakeOver(_ rule: ClusterRule, _ now: Moment) -> Bool {
        let able = rule.members.filter { member in
            guard member != name, let report = liveSign(of: member, now)?.report else { return false }
            return report.promised == rule.epoch && report.couldLead
        }
        return rule.members.count > 2 && rule.canBeDecided(by: able)
    }

    /// One of them says that it does not hear the other, which speaks.
    private func areDeaf(_ one: MemberName, _ other: MemberName, _ now: Moment) -> Bool {
        guard let voice = listening.hearing.voice(of: one), let reply = listening.hearing.voice(of: other),
            now - voice.heardAt <= timings.acquaintanceMax, now - reply.heardAt <= timings.acquaintanceMax
        else { return false }
        return !voice.beat.hears.contains(other) || !reply.beat.hears.contains(one)
    }
}

extension MemberReport {
    /// As it says of itself. One in quarantine answers nobody, also where its program does not say that it cannot lead.
    fileprivate var couldLead: Bool { position != nil && cannotLead != true && state != .failed }

    /// It gets its data from its leader, or starts with it.
    fileprivate var isBecomingStandby: Bool {
        switch state {
        case .cloning, .rewinding, .starting: true
        case .empty, .initializing, .running, .waiting, .stopped, .failed, .unknown: false
        }
    }
}

extension Reigning {
    /// - Returns: whether a standby that is connected and does not stream yet has more of the log than it ever had.
    fileprivate mutating func catchesUp(_ sample: PrimaryObservation) -> Bool {
        var moves = false
        for standby in sample.standbys where !standby.isStreaming {
            guard standby.flushed > caughtUp[standby.member] ?? .zero else { continue }
            caughtUp[standby.member] = standby.flushed
            moves = true
        }
        return moves
    }
}
