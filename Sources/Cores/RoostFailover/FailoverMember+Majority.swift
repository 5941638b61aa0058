public import RoostModel

// Whether more than half of the members have to answer for a decision is in the rule: what some of them know, and others do not,
// is nothing to decide by.
extension FailoverMember {
    /// What of a rule every program of this version understands, whatever its host does.
    public static let skills = MemberSkill.known

    /// As it says in its reports.
    var saidSkills: [MemberSkill] {
        view.map { !$0.hostTakesWord || !$0.hostTakesVotes } ?? false ? skills.filter { $0 != .majority } : skills
    }

    /// Of a leader that is open: writes it into the rule when all say that they know it. Not while members come or go: who is
    /// to come has said nothing yet. Nor of an even number: half of them and the store may do without the others, more than half
    /// of them need one more.
    mutating func markMajority(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) {
        // A host of a version before does not take it: what else there is to write goes on.
        guard rule.majority != true, rule.members.count > 2, !rule.members.count.isMultiple(of: 2), reigning.isOpen,
            gateIsOpen, rule.change?.current == nil,
            denial?.revision != view?.ruleRevision, saidSkills.contains(.majority),
            rule.members.allSatisfy({ $0 == name || knowsMajority($0, rule, now) })
        else { return }
        var next = rule
        next.majority = true
        changeRule(next, now)
    }

    /// It lives, says so, and is heard directly, as it hears this member: a lease will be its word.
    private func knowsMajority(_ member: MemberName, _ rule: ClusterRule, _ now: Moment) -> Bool {
        guard let report = liveSign(of: member, now)?.report, report.promised == rule.epoch,
            report.skills?.contains(.majority) == true
        else { return false }
        return isHeardAnswering(member, now)
    }

    /// One that comes has not said that it knows it, or is not heard: so it cannot be named yet.
    func lacksMajority(_ member: MemberName, _ rule: ClusterRule, _ now: Moment) -> Bool {
        guard rule.majority == true else { return false }
        let knows = view?.reports.first { $0.member == member }?.skills?.contains(.majority) == true
        return !knows || !isHeardAnswering(member, now)
    }

    private func isHeardAnswering(_ member: MemberName, _ now: Moment) -> Bool {
        listening.hearing.voice(of: member).map {
            $0.saidAfter != nil && listening.hearing.hears($0, now, timings)
        } ?? false
    }
}

// A leader that too few others are heard to keep in office.
extension FailoverMember {
    /// What is said by those that count.
    func memberVoices(_ rule: ClusterRule) -> [Hearing.Voice] {
        listening.hearing.voices.filter { rule.members.contains($0.beat.member) }
    }

    /// Without a lease nothing is started, and so nothing is prepared or confirmed: what was prepared is taken back, where it asks for
    /// the word of members that are not there; and where that has lasted, while others live and could lead, they are asked to.
    mutating func lacksWord(_ rule: ClusterRule, _ now: Moment) {
        guard case .claiming = phase, rule.leader == name, rule.recruitment == nil, leaseIsTheMembers, !holdsLease(now)
        else {
            wordlessSince = nil
            return
        }
        let since = wordlessSince ?? now
        wordlessSince = since
        detail = "waits until \(counted(rule.vouchersNeeded, "other member is", plural: "other members are")) heard"
        if rule.change?.isPrepared == true, rule.change?.current != nil {
            var next = rule
            next.change?.isPrepared = nil
            return changeRule(next, now)
        }
        let patience = listening.hearing.escalated(timings.isolationPatience, upTo: timings.isolationMax)
        guard now - since >= patience, othersCouldTakeOver(rule, now), !isPaused(now) else { return }
        proposeSuccession(rule, now)
    }
}
