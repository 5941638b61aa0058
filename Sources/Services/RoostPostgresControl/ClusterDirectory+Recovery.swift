import RoostControl
import RoostFailover
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

// A cluster whose store has gone back: the rule is put right by what its members know.
extension ClusterDirectory {
    /// - Parameter heard: the members that were heard from in the last seconds.
    func recovery(of name: AppName, hearing heard: Set<MemberName>) async throws(Refusal) -> RecoveryBody {
        let (records, _, rule) = try await ruling(name)
        let members = rule.members.map { member in
            let report = records.reports[member]
            let knowledge = report?.knowledge
            return KnowledgeBody(
                name: member, isHeard: heard.contains(member) && report != nil, promised: report?.promised,
                opened: knowledge?.opened.map(ReignBody.init), last: knowledge?.history.last.map(ReignBody.init),
                position: knowledge?.position, detail: report?.detail)
        }
        var body = RecoveryBody(
            revision: records.ruleRevision, epoch: rule.epoch, leader: rule.leader, members: members, proposal: nil,
            obstacle: nil)
        do throws(Refusal) {
            let recovery = try Self.recovery(rule, records, hearing: heard)
            guard let last = recovery.rule.history.last, let call = recovery.rule.recruitment else { return body }
            body.proposal = RecoveryProposal(
                last: ReignBody(last), source: recovery.source, calls: call.epoch, strangers: recovery.strangers)
        } catch {
            body.obstacle = error.message
        }
        return body
    }

    /// Puts the rule right, if it is the one that was looked at.
    func recover(_ name: AppName, from revision: Int64, hearing heard: Set<MemberName>) async throws(Refusal) {
        let (records, _, rule) = try await ruling(name)
        let changed = Refusal(
            .failedPrecondition, "the rule of \(name) has changed since it was looked at; look at it again")
        guard records.ruleRevision == revision else { throw changed }
        let recovery = try Self.recovery(rule, records, hearing: heard)
        // Whoever came since has no place in this store, and who has gone since has one: only a person can put that right.
        guard recovery.rule.members == rule.members else {
            throw Refusal(
                .failedPrecondition,
                "the members of \(name) have changed since: they are "
                    + recovery.rule.members.map(\.text).joined(separator: ", ")
                    + ", and the store has \(rule.members.map(\.text).joined(separator: ", ")); a newer copy of the store is needed"
            )
        }
        let key = StoreKeys.clusterRule(name)
        let outcome = try await store.carryOut(
            Transaction(
                compares: [.modified(key: key, equals: Revision(revision))], then: [try .put(recovery.rule, at: key)]))
        guard outcome.succeeded else { throw changed }
    }

    private static func recovery(
        _ rule: ClusterRule, _ records: Planet.ClusterRecords, hearing heard: Set<MemberName>
    ) throws(Refusal) -> StoreRecovery {
        // One that was open when the copy was made, and does not lead now, says so itself.
        if heard.contains(rule.leader), records.reports[rule.leader]?.role == .primary, let beat = records.heartbeat,
            beat.epoch == rule.epoch, beat.isOpen
        {
            throw Refusal(
                .failedPrecondition,
                "\(rule.leader) lets clients in under the store's rule: what they have written since would be lost")
        }
        do throws(StoreRecovery.Obstacle) {
            let reports = records.reports.values.filter { heard.contains($0.member) }.sorted { $0.member < $1.member }
            return try StoreRecovery(of: rule, reports)
        } catch {
            throw Refusal(.failedPrecondition, "\(error)")
        }
    }
}
