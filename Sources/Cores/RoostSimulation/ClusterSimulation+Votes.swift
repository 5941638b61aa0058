internal import RoostFailover
import RoostModel

// What members decide among themselves, and when: on the disk of whoever is chosen.
extension ClusterSimulation {
    /// The last that was decided, wherever.
    var current: ClusterRule? {
        let counting = decisions.values.filter { !isBesideForced($0) }
        guard let last = counting.max(by: { $0.epoch < $1.epoch }), !storeWentBack else {
            return store.view.rule
        }
        guard let stored = store.view.rule, stored.epoch >= last.epoch else { return last }
        return stored
    }

    func noteVote(_ state: DurableState, of member: Int) {
        if let vote = state.vote, let choice = vote.member, vote != members[member].durable.vote {
            if let former = members[member].everVoted[vote.epoch], former != choice, !storeWentBack {
                fail("\(members[member].name) votes for \(choice) in epoch \(vote.epoch), and has voted for \(former)")
            }
            members[member].everVoted[vote.epoch] = choice
        }
        guard let decision = state.decided, decision != members[member].durable.decided else { return }
        noteDecision(decision.rule, by: member)
    }

    private func noteDecision(_ rule: ClusterRule, by member: Int) {
        guard let reign = rule.history.last else { return }
        if let former = decisions[rule.epoch] {
            guard former.history.last != reign, !storeWentBack else { return }
            return fail("two leaders in one epoch: \(former.leader), and \(reign), as \(members[member].name) has it")
        }
        note("\(members[member].name) knows of a decision: \(rule)")
        // Made in the store before members voted, and told by one that has seen it there, to one whose store has gone back since.
        guard !store.reigns.contains(where: { $0.reign == reign }) else { return }
        if members[member].name != rule.leader, !storeWentBack {
            return fail("\(members[member].name) goes by a decision that nobody has made: \(rule)")
        }
        decisions[rule.epoch] = rule
        let voters = members.filter { rule.members.contains($0.name) && $0.everVoted[rule.epoch] == rule.leader }
        if voters.count * 2 <= rule.members.count {
            fail("\(rule.leader) leads epoch \(rule.epoch) by the votes of \(voters.map(\.name))")
        }
        guard !storeWentBack else { return store.note(reign, at: time) }
        // They cannot know that a person has given them up, and what they decide is theirs alone.
        if isBesideForced(rule) { return }
        if let stored = store.reigns.first(where: { $0.reign.epoch == rule.epoch }), stored.reign != reign {
            fail("two leaders in one epoch: \(stored.reign), \(reign)")
        }
        store.note(reign, at: time)
        settledRules.append(rule)
        noteForced(rule)
        if let piece = lacking(rule) {
            fail(
                "epoch \(rule.epoch) of \(rule.leader) begins without \(piece.end) of epoch \(piece.epoch), "
                    + "which was confirmed or shown; history \(rule.history)")
        }
    }
}
