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
        let testimony = Testimony(of: rule, Self.heard(records, by: voices), unsettled: voices.unsettled)
        // Whoever came since the store went back is none of its members, and may know all the same.
        let others = testimony.members + records.membersWithProof
        let names = others.reduce(into: rule.members) { if !$0.contains($1) { $0.append($1) } }
        let proofs = records.proofs
        // Whose word counts is a question only where somebody says that the store has gone back.
        let isAsked = names.contains { proofs[$0] != nil }
        let members = names.map { member in
            let report = records.reports[member]
            let knowledge = report?.knowledge
            let mute = testimony.mute.first { $0.member == member }?.reason
            return KnowledgeBody(
                name: member, isHeard: voices.members.contains(member) && report != nil,
                hasProof: proofs[member] != nil, promised: report?.promised,
                opened: knowledge?.opened.map(ReignBody.init), last: knowledge?.history.last.map(ReignBody.init),
                position: knowledge?.position, detail: report?.detail,
                mute: !isAsked
                    ? nil : testimony.members.contains(member) ? mute?.description : "no member by now")
        }
        var body = RecoveryBody(
            revision: records.ruleRevision, epoch: rule.epoch, leader: rule.leader, members: members, proposal: nil,
            obstacle: nil, needed: testimony.needed)
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
        let key = StoreKeys.clusterRule(name)
        var compares = [Transaction.Compare.modified(key: key, equals: Revision(wish.revision))]
        // An election by the history that there is takes nothing back, whoever lets clients in meanwhile.
        if !recovery.keepsHistory(of: rule) {
            compares.append(.modified(key: StoreKeys.clusterHeartbeat(name), equals: renewed))
        }
        var changes = [try Transaction.Operation.put(recovery.rule, at: key)]
        // What was asked for before is over with it, and whoever leads next does not do so by that.
        if let noted = try await noting({ $0.ledAway = nil }, of: name) {
            compares.append(noted.compare)
            changes.append(noted.operation)
        }
        let outcome = try await store.carryOut(Transaction(compares: compares, then: changes))
        return outcome.succeeded
    }

    /// What those say who are heard now.
    private static func heard(_ records: Planet.ClusterRecords, by voices: ClusterVoices) -> [MemberReport] {
        records.reports.values.filter { voices.members.contains($0.member) }.sorted { $0.member < $1.member }
    }

    private static func recovery(
        _ rule: ClusterRule, _ records: Planet.ClusterRecords, _ beat: Heartbeat?, hearing voices: ClusterVoices
    ) throws(Refusal) -> StoreRecovery {
        let reports = heard(records, by: voices)
        // One that was open when the copy was made, and does not lead now, renews nothing, and says so itself.
        let leads = voices.members.contains(rule.leader) && records.reports[rule.leader]?.role == .primary
        if let beat, beat.epoch == rule.epoch, beat.isOpen, voices.isLeaderRenewing || leads || voices.missed(beat) {
            if let recovery = StoreRecovery(calling: rule, beyond: reports) { return recovery }
            let provers = reports.filter { $0.proof(against: rule) != nil }.map(\.member)
            guard !provers.isEmpty else {
                throw Refusal(.failedPrecondition, "\(StoreRecovery.Obstacle.nothingIsMissing)")
            }
            // Whoever the rule does not name follows nothing of it anyway.
            guard provers.contains(where: rule.members.contains) else {
                throw Refusal(
                    .failedPrecondition,
                    "no member says that the store has gone back, and \(rule.leader) lets clients in: nothing is missing to "
                        + "the cluster. \(provers.map(\.text).joined(separator: ", ")), which the rule does not name, "
                        + "\(provers.count == 1 ? "says" : "say") it")
            }
            throw Refusal(
                .failedPrecondition,
                "\(rule.leader) lets clients in under the store's rule: what they have written since would be lost")
        }
        do throws(StoreRecovery.Obstacle) {
            return try StoreRecovery(of: rule, reports, unsettled: voices.unsettled)
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

extension ClusterVoices {
    fileprivate var unsettled: Set<MemberName> { members.subtracting(settled ?? []) }

    /// The leader has renewed its lease since whoever listens counted its silence.
    fileprivate func missed(_ beat: Heartbeat) -> Bool {
        leaderQuietMilliseconds != nil && beat.sequence != leaderBeat
    }
}
