import RoostControl
import RoostFailover
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

// A cluster whose store has gone back: the rule is put right by what its members know.
extension ClusterDirectory {
    /// - Parameter voices: who was seen to speak in the last seconds.
    func recovery(of name: AppName, hearing voices: ClusterVoices) async throws(Refusal) -> RecoveryBody {
        let (records, _, rule) = try await ruling(name)
        let members = rule.members.map { member in
            let report = records.reports[member]
            let knowledge = report?.knowledge
            return KnowledgeBody(
                name: member, isHeard: voices.members.contains(member) && report != nil, hasProof: knowledge != nil,
                promised: report?.promised,
                opened: knowledge?.opened.map(ReignBody.init), last: knowledge?.history.last.map(ReignBody.init),
                position: knowledge?.position.map(PositionBody.init), detail: report?.detail)
        }
        var body = RecoveryBody(
            revision: records.ruleRevision, epoch: rule.epoch, leader: rule.leader, members: members, proposal: nil,
            obstacle: nil)
        do throws(Refusal) {
            body.proposal = try Self.recovery(rule, records, records.heartbeat, hearing: voices).proposal
        } catch {
            body.obstacle = error.message
        }
        return body
    }

    /// How often a leader that renews its lease may come between the look and the change.
    private static let roundsMax = 8

    /// Puts the rule right, if it is the one that was looked at, and what follows from what members say is what was shown.
    func recover(_ name: AppName, as wish: RecoverBody, hearing voices: ClusterVoices) async throws(Refusal) {
        var voices = voices
        var lastBeat: Revision?
        for _ in 0..<Self.roundsMax {
            let beat = try await store.record(Heartbeat.self, at: StoreKeys.clusterHeartbeat(name))
            let renewed = beat?.revision ?? .absent
            // It has come since this was begun, whoever hears it or does not.
            if let lastBeat, renewed != lastBeat { voices.isLeaderRenewing = true }
            lastBeat = renewed
            if try await recover(name, as: wish, hearing: voices, beat?.record, at: renewed) { return }
        }
        throw Refusal(.failedPrecondition, "the leader of \(name) goes on renewing its lease; look at it again")
    }

    /// - Returns: false where the leader has renewed its lease meanwhile; it may have let clients in by that.
    private func recover(
        _ name: AppName, as wish: RecoverBody, hearing voices: ClusterVoices, _ beat: Heartbeat?, at renewed: Revision
    ) async throws(Refusal) -> Bool {
        let (records, _, rule) = try await ruling(name)
        guard records.ruleRevision == wish.revision else {
            throw Refusal(
                .failedPrecondition, "the rule of \(name) has changed since it was looked at; look at it again")
        }
        let recovery = try Self.recovery(rule, records, beat, hearing: voices)
        guard recovery.proposal == wish.proposal else {
            throw Refusal(
                .failedPrecondition,
                "what follows from what the members of \(name) say is not what was shown any more; look at it again")
        }
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
                compares: [
                    .modified(key: key, equals: Revision(wish.revision)),
                    .modified(key: StoreKeys.clusterHeartbeat(name), equals: renewed),
                ], then: [try .put(recovery.rule, at: key)]))
        return outcome.succeeded
    }

    private static func recovery(
        _ rule: ClusterRule, _ records: Planet.ClusterRecords, _ beat: Heartbeat?, hearing voices: ClusterVoices
    ) throws(Refusal) -> StoreRecovery {
        guard rule.members.contains(where: { records.reports[$0]?.knowledge != nil }) else {
            throw Refusal(.failedPrecondition, "\(StoreRecovery.Obstacle.nothingIsMissing)")
        }
        // One that was open when the copy was made, and does not lead now, renews nothing, and says so itself.
        let leads = voices.members.contains(rule.leader) && records.reports[rule.leader]?.role == .primary
        if voices.isLeaderRenewing || leads, let beat, beat.epoch == rule.epoch, beat.isOpen {
            throw Refusal(
                .failedPrecondition,
                "\(rule.leader) lets clients in under the store's rule: what they have written since would be lost")
        }
        do throws(StoreRecovery.Obstacle) {
            let reports = records.reports.values.filter { voices.members.contains($0.member) }
            return try StoreRecovery(of: rule, reports.sorted { $0.member < $1.member })
        } catch {
            throw Refusal(.failedPrecondition, "\(error)")
        }
    }
}

extension StoreRecovery {
    fileprivate var proposal: RecoveryProposal? {
        guard let last = rule.history.last, let call = rule.recruitment else { return nil }
        return RecoveryProposal(last: ReignBody(last), source: source, calls: call.epoch, strangers: strangers)
    }
}
