public import RoostModel

/// Why a member may not make this of its cluster's rule. Programs of members are anybody's: whoever takes a rule from one asks
/// here before it is written. What is left to root in a member's machine is in docs/decisions/0044.
public struct UnlawfulChange: Error, Hashable, CustomStringConvertible {
    /// What is not the member's to write.
    public let description: String

    init(_ description: String) { self.description = description }
}

extension ClusterRule {
    /// The first rule of a cluster.
    ///
    /// - Parameter members: those that the cluster shall have.
    /// - Throws: where it is not what the first of them writes when it has initialised the cluster.
    public func check(asFirstOf members: [MemberName], by member: MemberName) throws(UnlawfulChange) {
        let first = ClusterRule(
            epoch: .first, leader: member, members: members, confirmations: Self.confirmations(of: members.count),
            history: [Reign(epoch: .first, leader: member, begin: .zero)])
        guard members.first == member, isIdentical(to: first) else {
            throw UnlawfulChange("this is not how \(member) makes a cluster of \(members.words)")
        }
    }

    /// - Parameter former: the rule that is replaced, as the store has it.
    /// - Throws: where it differs from that by more than what a member does: it calls, it names who was elected, it says that
    ///   it was started anew; as the leader, it names its data, prepares, takes and refuses what was asked for.
    public func check(asChangeOf former: ClusterRule, by member: MemberName) throws(UnlawfulChange) {
        guard former.members.contains(member) else {
            throw UnlawfulChange("\(member) is no member, and a rule is changed by members: \(former.members.words)")
        }
        // What is lawful of the difference is put into the former rule: whatever else differs, and be it of a newer version, is
        // not a member's to write.
        let lawful = epoch == former.epoch ? try former.changed(as: self, by: member) : try former.elected(as: self)
        guard isIdentical(to: lawful) else {
            let words = differences(from: lawful).joined(separator: ", ")
            throw UnlawfulChange("\(member) cannot write this of it now: \(words)")
        }
    }

    // MARK: - While the leader stays

    /// This rule with what a member may make of it, as far as the next one has it.
    private func changed(as next: ClusterRule, by member: MemberName) throws(UnlawfulChange) -> ClusterRule {
        var lawful = member == leader ? try led(as: next) : self
        if let wish = restart, wish.left.contains(member), next.restart?.left.contains(member) == false {
            lawful.restart?.left.removeAll { $0 == member }
            lawful.restart?.done.append(member)
        }
        let isStep = lawful.change?.done.count != change?.done.count
        if recruitment == nil, !isStep, let call = next.recruitment {
            lawful.recruitment = try checked(call, by: member)
        }
        return lawful
    }

    private func led(as next: ClusterRule) throws(UnlawfulChange) -> ClusterRule {
        var lawful = self
        // Whoever led first may have named a wrong one, and then nobody could ever make a copy: it is the present leader's to say.
        if let system = next.system { lawful.system = system }
        // It is never taken back.
        if next.majority == true { lawful.majority = true }
        // What was refused stays so, in the same words.
        if let wish = switchover, wish.refusal == nil { lawful.switchover?.refusal = next.switchover?.refusal }
        if let wish = restart, wish.refusal == nil { lawful.restart?.refusal = next.restart?.refusal }
        guard let step = change?.current, let other = next.change else { return lawful }
        // That the store went back is not a member's word for why it refuses: who was to come would never be taken apart.
        if other.refusal != MemberChange.refusalOfLostStore { lawful.change?.refusal = other.refusal }
        lawful.change?.isPrepared = other.isPrepared
        guard other.done.count > change?.done.count ?? 0, recruitment == nil else { return lawful }
        guard changes ?? 0 < .max else { throw UnlawfulChange("no step can be taken any more: they are counted") }
        return lawful.taking(step)
    }

    /// A call by the leader is its own word, and ends its time in office. That it is silent, others say: one whose promise the
    /// store does not call for has it called in the name of the member that called it. Nothing rests on that name: it is
    /// shown, and a leader goes by it only where it is its own. A target is preferred among equals, and waited for a moment.
    private func checked(_ call: Recruitment, by member: MemberName) throws(UnlawfulChange) -> Recruitment {
        guard recruitment == nil, call.epoch > epoch, call.epoch.number - epoch.number == 1 else {
            throw UnlawfulChange("\(member) can call members for the next epoch only, and only once")
        }
        let isFit =
            switch call.reason {
            case .leaderSilent: member != leader && call.proposer != leader && members.contains(call.proposer)
            case .leaderLostLog: call.proposer == member && call.target == nil
            case .leaderResigned: member == leader && call.proposer == leader && call.target == nil
            case .switchover: member == leader && call.proposer == leader
            case .storeRecovered, .forced, .unknown: false
            }
        guard isFit, call.target.map(members.contains) ?? true else {
            throw UnlawfulChange(
                "\(member) cannot call members for \(call.proposer) (\(call.reason.rawValue)"
                    + (call.target.map { ", to have \($0) lead)" } ?? ")"))
        }
        return Recruitment(epoch: call.epoch, proposer: call.proposer, reason: call.reason, target: call.target)
    }

    // MARK: - Another leader

    /// This rule as members leave it for another leader, where that one can be the next.
    private func elected(as next: ClusterRule) throws(UnlawfulChange) -> ClusterRule {
        // A store that has gone back behind the mark has it again with what members have decided by it. No two have ever voted.
        var marked = self
        if next.majority == true, members.count > 2 { marked.majority = true }
        guard marked.mayElect(next.epoch), members.contains(next.leader) else {
            throw UnlawfulChange(
                "\(next.leader) cannot lead epoch \(next.epoch): it is not the next after \(epoch), or no member leads it"
            )
        }
        if let forced = forcedCall, next.leader != forced.member {
            throw UnlawfulChange(
                "\(next.leader) cannot lead epoch \(next.epoch): a person has decided that \(forced.member) does")
        }
        guard let reign = next.history.last, reign.epoch == next.epoch, reign.leader == next.leader else {
            throw UnlawfulChange("the history of the rule does not end with \(next.leader) in epoch \(next.epoch)")
        }
        let chain = Array(next.history.dropLast())
        if let objection = marked.objection(to: chain, before: next.epoch) {
            throw UnlawfulChange("\(next.leader) goes on from \(objection)")
        }
        // Where it does not follow, whoever leads says where it goes on.
        let timeline = next.timeline.flatMap { $0 > 0 ? $0 - 1 : nil } ?? 0
        var lawful = succeeded(
            by: next.leader, in: next.epoch, with: chain, upTo: reign.begin, timeline: timeline)
        // A program of before leaves what it does not know as it was; nobody goes by it any more.
        if next.timeline == nil, self.timeline == nil { lawful.timeline = nil }
        if next.switchover != nil { lawful.switchover = switchover }
        // In the store of a leader to come, too: it may have gone back behind that.
        if next.majority == true { lawful.majority = true }
        if next.change?.isPrepared != nil { lawful.change?.isPrepared = change?.isPrepared }
        return lawful
    }

    /// For people.
    private func differences(from lawful: ClusterRule) -> [String] {
        let parts = [
            ("the members", members == lawful.members && confirmations == lawful.confirmations),
            ("how often they have changed", changes == lawful.changes),
            ("the change of members", change == lawful.change), ("the switchover", switchover == lawful.switchover),
            ("the pause", pause == lawful.pause), ("the restart", restart == lawful.restart),
            ("the data's number", system == lawful.system), ("the call", recruitment == lawful.recruitment),
            ("who leads", leader == lawful.leader), ("the history", history == lawful.history),
            ("the timeline", timeline == lawful.timeline), ("how many have to answer", majority == lawful.majority),
            ("the failover that a person has decided", forced == lawful.forced),
        ].filter { !$0.1 }.map(\.0)
        return parts.isEmpty ? ["fields that this version does not know"] : parts
    }
}

extension [MemberName] {
    fileprivate var words: String { map(\.text).joined(separator: ", ") }
}
