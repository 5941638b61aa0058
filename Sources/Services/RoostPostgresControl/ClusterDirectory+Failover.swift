import RoostControl
import RoostFailover
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

// A failover that a person decides, since too few members are left for members to decide one. What was shown is decided, and
// nothing else.
extension ClusterDirectory {
    /// - Parameters:
    ///   - target: nil: the member that would lose least.
    ///   - voices: who was seen to speak in the last seconds, and since when the others were not.
    func failover(
        of name: AppName, to target: MemberName?, hearing voices: ClusterVoices
    ) async throws(Refusal) -> FailoverBody {
        let (records, _, rule) = try await ruling(name)
        let sight = Self.sight(rule, records, records.heartbeat, hearing: voices)
        let candidates = ForcedCandidate.all(of: rule, sight)
        if let target, !rule.members.contains(target) {
            throw Refusal(.notFound, "\(ForcedElection.Obstacle.stranger(target, rule.members))")
        }
        // Who was given up before may have what nobody else has, and says how far it goes.
        let former = rule.givenUp.filter { records.spec?.members.map(\.name).contains($0) == true }
        let quiet = voices.quiet ?? []
        func body(_ member: MemberName, _ why: String?) -> FailoverMemberBody {
            let report = records.reports[member]
            return FailoverMemberBody(
                name: member, host: records.placements[member]?.host,
                isHeard: voices.members.contains(member) && report != nil,
                silentMilliseconds: quiet.first { $0.member == member }?.milliseconds,
                logEnd: (report?.position ?? report?.knowledge?.position).map(PositionBody.init),
                lastCommit: report?.committedAt.map(TimeText.of), obstacle: why)
        }
        var shown = FailoverBody(
            revision: records.ruleRevision, epoch: rule.epoch, leader: rule.leader,
            leaderSilentMilliseconds: voices.leaderQuietMilliseconds,
            members: candidates.map { body($0.member, $0.unfitness?.description) }
                + former.map { body($0, "it was given up by a failover before, and is no member") },
            proposal: nil, obstacle: nil)
        do throws(Refusal) {
            shown.proposal = try Self.election(rule, sight, to: target, hearing: voices).proposal
        } catch {
            shown.obstacle = error.message
        }
        return shown
    }

    /// Decides it, if the rule is the one that was looked at, and what follows from what is heard is what was shown.
    ///
    /// - Returns: the operation's id.
    func decideFailover(
        of name: AppName, as wish: FailoverWish, hearing voices: ClusterVoices
    ) async throws(Refusal) -> PlanetOperationID {
        guard wish.acceptsDataLoss else {
            throw Refusal(
                .invalid, "commits may be lost by this, and the request does not say that they may: accept_data_loss")
        }
        guard wish.by?.utf8.count ?? 0 <= ForcedFailover.wordsMax else {
            throw Refusal(.invalid, "'by' has at most \(ForcedFailover.wordsMax) bytes")
        }
        for _ in 0..<Self.looksMax {
            let beat = try await store.record(Heartbeat.self, at: StoreKeys.clusterHeartbeat(name))
            if let id = try await decide(name, as: wish, hearing: voices, beat?.record, at: beat?.revision ?? .absent) {
                return id
            }
        }
        throw Refusal(.unavailable, "what is known of \(name) changes too often; try again")
    }

    /// How often something else may change between the look and the change.
    private static let looksMax = 8

    /// - Parameters:
    ///   - beat: of the leader, as the store has it, …
    ///   - renewed: … and its revision.
    /// - Returns: nil where something has changed meanwhile: it is looked at again.
    private func decide(
        _ name: AppName, as wish: FailoverWish, hearing voices: ClusterVoices, _ beat: Heartbeat?,
        at renewed: Revision
    ) async throws(Refusal) -> PlanetOperationID? {
        let (records, spec, rule) = try await ruling(name)
        guard records.ruleRevision == wish.revision else {
            throw Refusal(
                .failedPrecondition, "the rule of \(name) has changed since it was looked at; look at it again")
        }
        let sight = Self.sight(rule, records, beat, hearing: voices)
        let election = try Self.election(rule, sight, to: wish.proposal.member, hearing: voices)
        guard election.proposal.isSame(as: wish.proposal) else {
            throw Refusal(
                .failedPrecondition,
                "what follows from what the members of \(name) say is not what was shown any more; look at it again")
        }
        let id = OperationDirectory.makeID()
        let next = election.rule(id: id.text, at: WallClock.milliseconds(), by: wish.by)
        var operation = Self.operation(
            id, .forcedFailover, on: spec, from: .init(epoch: rule.epoch, leader: rule.leader, target: election.member))
        operation.steps = [.init(name: election.words, at: operation.startedAt)]
        var compares = [Transaction.Compare]()
        // A leader that begins to speak again in this moment has not been looked at.
        if election.member != rule.leader {
            try Self.checkIsSilent(rule, beat, hearing: voices)
            compares.append(.modified(key: StoreKeys.clusterHeartbeat(name), equals: renewed))
        }
        // What was asked for before is over with it.
        let noted = try await noting(
            {
                $0.ledAway = nil
                $0.attempts = nil
            }, of: name)
        let isBegun = try await begin(
            operation, by: next, of: name, over: records.ruleRevision, after: Self.former(rule, records, voices),
            under: compares + [noted?.compare].compactMap(\.self), with: [noted?.operation].compactMap(\.self))
        return isBegun ? id : nil
    }

    /// Of the wishes that end with it at most one is still to be ended by hand: the others show it in the rule.
    private static func former(
        _ rule: ClusterRule, _ records: Planet.ClusterRecords, _ voices: ClusterVoices
    ) -> FormerWish? {
        rule.forced.map { FormerWish(id: $0.id, verdict: .failed("another failover was decided before it had ended")) }
    }

    private static func sight(
        _ rule: ClusterRule, _ records: Planet.ClusterRecords, _ beat: Heartbeat?, hearing voices: ClusterVoices
    ) -> ForcedElection.Sight {
        var sight = ForcedElection.Sight(
            reports: records.reports.values.sorted { $0.member < $1.member }, heard: voices.members,
            isPaused: ClusterStatus.pause(of: rule, hearing: voices) != nil)
        if voices.isLeaderRenewing, let beat, beat.epoch == rule.epoch {
            sight.lease = beat
            sight.confirming = Set(rule.members.filter(records.confirms))
        }
        return sight
    }

    /// Its silence was counted by a host that may have heard of its last heartbeat later than the store.
    private static func checkIsSilent(
        _ rule: ClusterRule, _ beat: Heartbeat?, hearing voices: ClusterVoices
    ) throws(Refusal) {
        let last = beat.flatMap { $0.epoch == rule.epoch ? $0.sequence : nil }
        guard voices.leaderQuietMilliseconds != nil else {
            throw Refusal(
                .failedPrecondition,
                "nobody has counted for how long \(rule.leader) has been silent: the host that hears the cluster is of a version "
                    + "before, or began to hear it a moment ago; try again, or give that host a newer program")
        }
        guard last == voices.leaderBeat else {
            throw Refusal(.failedPrecondition, "\(rule.leader) has renewed its lease since; look at it again")
        }
    }

    /// A leader whose lease may still run on its own clock is not put aside.
    private static let leaderQuietMin = Heartbeat.lease + Heartbeat.grace

    private static func election(
        _ rule: ClusterRule, _ sight: ForcedElection.Sight, to target: MemberName?, hearing voices: ClusterVoices
    ) throws(Refusal) -> ForcedElection {
        let election: ForcedElection
        do throws(ForcedElection.Obstacle) {
            election = try ForcedElection(of: rule, sight, to: target)
        } catch {
            if case .stranger = error { throw Refusal(.notFound, "\(error)") }
            throw Refusal(.failedPrecondition, "\(error)")
        }
        if election.member != rule.leader, let quiet = voices.leaderQuietMilliseconds,
            quiet < leaderQuietMin.milliseconds
        {
            throw Refusal(
                .failedPrecondition,
                "\(rule.leader) has renewed its lease a moment ago, and may go on until that is over: look again in "
                    + "\(leaderQuietMin.components.seconds) s")
        }
        return election
    }
}

extension ForcedElection {
    fileprivate var proposal: FailoverProposal {
        FailoverProposal(
            member: member, logEnd: PositionBody(position), calls: epoch, keeps: keeps, givesUp: givesUp,
            confirmations: confirmations,
            furthest: furthest.map {
                FailoverLoss(member: $0.member, logEnd: PositionBody($0.position), bytes: $0.bytes)
            }, losesNothing: losesNothing ? true : nil)
    }

    fileprivate var words: String {
        let loss = furthest.map { ", and \($0.member) had got to \($0.position)" } ?? ""
        let names = givesUp.isEmpty ? "" : "; given up: \(givesUp.map(\.text).joined(separator: ", "))"
        return "a person has decided that \(member) leads from \(position)\(loss)\(names)"
    }
}

extension FailoverProposal {
    /// No more is lost than was shown. A leader that is open goes on writing, so how far it is may differ.
    fileprivate func isSame(as shown: FailoverProposal) -> Bool {
        member == shown.member && calls == shown.calls && keeps == shown.keeps && givesUp == shown.givesUp
            && confirmations == shown.confirmations && (furthest?.bytes ?? 0) <= (shown.furthest?.bytes ?? 0)
            && (furthest == nil || shown.furthest != nil)
            && (furthest?.bytes != 0 || furthest?.logEnd == shown.furthest?.logEnd)
            && (losesNothing == true || shown.losesNothing != true)
    }
}
