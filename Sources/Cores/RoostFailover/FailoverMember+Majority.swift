public import RoostModel

// Whether more than half of the members have to answer for a decision is in the rule: what some of them know, and others do not,
// is nothing to decide by.
extension FailoverMember {
    /// What of a rule every program of this version understands, whatever its host does.
    public static let skills = MemberSkill.known.filter { $0 != .majority }

    /// As it says in its reports.
    var saidSkills: [MemberSkill] {
        view?.hostTakesWord == false ? skills.filter { $0 != .majority } : skills
    }

    /// Of a leader that is open: writes it into the rule when all say that they know it. Not while members come or go: who is
    /// to come has said nothing yet.
    mutating func markMajority(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) {
        // A host of a version before does not take it: what else there is to write goes on.
        guard rule.majority != true, reigning.isOpen, gateIsOpen, rule.change?.current == nil,
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
            report.skills?.contains(.majority) == true, let voice = listening.hearing.voice(of: member)
        else { return false }
        return voice.saidAfter != nil && listening.hearing.hears(voice, now, timings)
    }

    /// One that comes has not said that it knows it: so it cannot be named yet.
    func lacksMajority(_ member: MemberName, _ rule: ClusterRule) -> Bool {
        guard rule.majority == true else { return false }
        return view?.reports.first { $0.member == member }?.skills?.contains(.majority) != true
    }
}
