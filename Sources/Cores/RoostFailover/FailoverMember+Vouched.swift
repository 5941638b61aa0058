import RoostModel

// A lease that other members renew, where the store is away. What makes commits safe is the recruitment, with or without a
// lease; the lease bounds for how long a leader that has been replaced goes on being open. A new leader is chosen when so many
// standbys have promised a later epoch that fewer than confirm a commit are left, or when this leader has. So as long as it has
// not, and as many as confirm a commit had not at some moment, nobody had been chosen at that moment: this is what the store's
// answer says, too, and the lease goes on from there in the same way.
extension FailoverMember {
    /// Called with each beat that is heard.
    mutating func renewByWord(_ now: Moment) {
        guard let since = vouchedSince(now) else { return }
        leaseUntil = max(leaseUntil ?? .zero, since + timings.lease)
    }

    /// The latest moment at which enough other members had promised nothing above this epoch. Nil: they have not said so, or
    /// their word does not count.
    func vouchedSince(_ now: Moment) -> Moment? {
        guard phase.isInOffice, let view, view.hostTakesWord, let rule = view.rule, rule.leader == name,
            rule.epoch == state.promised, rule.recruitment == nil, hasRead || mayLeadByKept(rule),
            // A store that answers, or a host that knows, that it has no lease counts more.
            lastDeniedAt.map({ now - $0 > timings.lease }) ?? true
        else { return nil }
        let needed = rule.vouchersNeeded - (breakage == .heedsOneTooFew ? 1 : 0)
        guard needed > 0 else { return now }
        let moments = rule.vouchers.compactMap { member -> Moment? in
            guard let voice = listening.hearing.voice(of: member),
                voice.beat.epoch == rule.epoch || breakage == .heedsThePromised && voice.beat.epoch > rule.epoch
            else { return nil }
            return voice.saidAfter
        }
        guard moments.count >= needed else { return nil }
        // What a member had not promised later it had not promised then.
        return moments.sorted(by: >)[needed - 1]
    }

    /// Where more than half of the members decide, the store's word says nothing of what they have decided since: theirs alone renews a
    /// lease. Nobody has to be asked by an only member.
    var leaseIsTheMembers: Bool {
        guard let rule = view?.rule, breakage != .heedsTheStoreAlone else { return false }
        return rule.majority == true && rule.members.count > 1
    }

    /// Says so to the host, while the store does not.
    mutating func holdByWord(_ now: Moment) {
        renewByWord(now)
        guard now - heldAt >= timings.heartbeatInterval || isUnpublished && now >= beatDueAt,
            isStoreSilent(now) || isUnpublished, let since = vouchedSince(now)
        else { return }
        heldAt = now
        actions.append(.holdLease(state.promised, since: since, telling: unpublishedHeartbeat(now)))
    }

    /// For edges: it would be in the store, if that knew this leader.
    private mutating func unpublishedHeartbeat(_ now: Moment) -> Heartbeat? {
        guard isUnpublished, let rule = view?.rule else { return nil }
        beatDueAt = now + timings.heartbeatInterval
        // Who starts anew goes on beyond what was said before. A computer that starts anew is gone for longer than a lease.
        beatSequence = RecordNumber.next(own: beatSequence, known: UInt64(max(now.sinceBoot.milliseconds, 0)))
        return heartbeat(under: rule, now)
    }

    /// The store renews no lease: the host would not hear of it otherwise.
    private func isStoreSilent(_ now: Moment) -> Bool {
        storeRenewedAt.map { now - $0 > timings.heartbeatInterval * 4 } ?? true
    }

    /// The store has answered lately. Where it has not, no election can end, and whoever promises one binds itself to nobody.
    func isStoreThere(_ now: Moment) -> Bool {
        now - max(storeHeardAt, storeRenewedAt ?? .zero) < timings.storeAwayAfter
    }
}

// A member whose process starts while the store does not answer.
extension FailoverMember {
    /// What its host had heard last may be of any time. It is borne out by a disk on which all of this epoch is: nothing later
    /// was promised there, or, where members decide by themselves, an election over it, so nothing that this member may do now is
    /// other than if it had not been stopped. A disk that was lost since, with a promise, has nothing of it.
    mutating func adopt(_ seen: StoreView, _ now: Moment) {
        var seen = seen
        reconcile(&seen, isRead: false, now)
        guard !hasRead, !goesByKept, let rule = seen.rule, rule.members.contains(name),
            rule.epoch == state.promised || rule.majority == true && rule.mayElect(state.promised),
            state.data == .usable, let last = state.chain.last, let reign = rule.history.last, last.isSame(as: reign),
            proofOfReversal(rule) == nil
        else { return }
        goesByKept = true
        view = seen
        shared.note(seen, besides: name)
        noteWishes(seen, isComing: false, now)
    }

    /// The members are those of the kept rule, and no others: only a leader makes them others, it writes down that it asks for
    /// that before it does, and who the members are before it goes on. A program of before has not written down the first.
    func mayLeadByKept(_ rule: ClusterRule) -> Bool {
        guard goesByKept, state.led == rule.epoch, rule.change?.current == nil else { return false }
        return (rule.changes ?? 0) == (state.membership?.changes ?? 0) && state.asked == nil
    }
}

extension ClusterRule {
    /// The other members whose word counts for its leader.
    package var vouchers: [MemberName] { commitQuorum.standbys }

    /// So many of them leave fewer than could choose another leader. It is the number that confirms a commit: an election
    /// needs all standbys but as many as that, and one more. Where the members are changing it is that of the even number, which
    /// is enough for the odd one beside it (``commitQuorum``): a step may be in the store although nobody has said so yet.
    package var vouchersNeeded: Int {
        let quorum = commitQuorum
        return min(quorum.confirmations, quorum.standbys.count)
    }
}
