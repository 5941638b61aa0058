import RoostModel

// A store that has gone back: restored from an older copy, or emptied of its last changes by a fault of its own. Its rule
// may then name a leader without commits that were confirmed; nobody may follow, vote or throw data away by it.
extension FailoverMember {
    /// How often a linearizable read must say it: reads begun one after the other.
    static let reversalReads = 2

    /// Why the store's rule cannot be the last that the cluster agreed on; nil when nothing shows it.
    func proofOfReversal(_ rule: ClusterRule) -> String? {
        guard breakage != .trustsRestoredStore else { return nil }
        var fact = state.reignLost(by: rule).map { "\($0.leader) led in epoch \($0.epoch), from \($0.begin)" }
        if fact == nil, let membership = state.membership, membership.changes > rule.changes ?? 0 {
            fact = "the members are \(membership.members.map(\.text).joined(separator: ", "))"
        }
        if fact == nil, let decided = state.decided, decided.isContradicted(by: rule) {
            fact = "\(decided.rule.leader) was chosen by the members for epoch \(decided.rule.epoch)"
        }
        if fact == nil, undercuts >= Self.reversalReads { fact = "it has promised epoch \(state.promised)" }
        guard let fact else { return nil }
        let last = rule.history.last.map { "\($0.leader) in epoch \($0.epoch), from \($0.begin)" } ?? "nobody"
        return "the store has gone back: this member knows that \(fact), and the store's last leader is \(last)"
    }

    /// How far the log here goes, for whoever has to choose one of the members by hand. What a member knows or has promised
    /// says nothing of that: it may have heard of a reign without a byte of it.
    var ownEnd: String {
        switch state.data {
        case .usable: break
        case .empty, .cloning: return "it has no data"
        case .rewinding: return "its data counts for nothing: it was being taken back to another member's"
        case .spoiled: return "its data is proven to be no database any more, and is kept"
        case .exchanging: return "a whole copy is taking the place of its data"
        }
        guard let last = state.chain.last else { return "nobody has written down whose log it has" }
        guard let position = ownPosition else {
            return "how far its own log goes was not read; what it has beyond \(last.begin) is of epoch \(last.epoch)"
        }
        return "its own log goes at least up to \(position)"
    }

    /// Nil when it was not read, or when there is no data that counts.
    var ownPosition: Position? {
        guard state.data == .usable else { return nil }
        let end = reports.end.seen.map { min($0, reports.divergence?.agreed ?? $0) }
        return end.flatMap { state.chain.position(at: $0) }
    }

    /// A recruitment is never withdrawn, so no later rule calls for less than what was promised; but for what a member has
    /// called for directly, which the store may never have had.
    mutating func noteCalled(_ seen: StoreView, _ source: ViewSource, _ now: Moment) {
        guard let rule = seen.rule else { return }
        // From now on a store that calls for less has gone back. That goes to the disk with what is saved next: between the
        // answers and the choice nobody waits for it.
        if let direct = state.direct, rule.recruitment?.epoch ?? rule.epoch >= direct { state.direct = nil }
        guard (rule.recruitment?.epoch ?? rule.epoch) < state.promised, !hasPromisedDirectly(beyond: rule) else {
            undercuts = 0
            return
        }
        guard case .read = source else { return }
        undercuts += 1
        readDueAt = now
    }

    /// The member is, or becomes, one that does nothing: behind the fence, with all that it has.
    mutating func quarantine(because proof: String, _ now: Moment) {
        detail = "\(proof); \(ownEnd). Nothing here is changed. See \"A store that went back\" in docs/operations.md"
        switch phase {
        case .quarantined, .initializing, .leaving: break
        case .starting, .empty, .founding, .waiting:
            // Postgres is stopped, or follows nobody.
            phase = .quarantined
        case .severing: if running == nil, now >= retryAt { start(.sever) }
        // It has no other data than the copy.
        case .exchanging: if running == nil, now >= retryAt { start(.exchange) }
        case .reading, .cloning, .discarding, .rewinding, .following, .claiming, .promoting, .restarting, .leading,
            .draining, .suspending, .resigning:
            leaveOffice()
            failures = 0
            phase = .severing
            start(.sever)
        }
    }

    /// It is no member, or none yet: behind the fence, and with all that it has.
    mutating func standAside(because why: String, _ now: Moment) {
        detail = why
        switch phase {
        // It has nothing that could be led or read.
        case .starting, .empty: break
        case .quarantined, .initializing, .leaving, .founding, .waiting, .severing, .exchanging, .reading, .cloning,
            .discarding, .rewinding, .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending,
            .resigning:
            quarantine(because: why, now)
            detail = why
        }
    }

    mutating func leaveQuarantine(_ now: Moment) {
        detail = nil
        retryAt = now
        phase = .severing
        start(.sever)
    }

    /// The leader lets clients in, or says that it does.
    mutating func noteOpen(_ reign: Reign) {
        guard reign.epoch > state.opened?.epoch ?? .none else { return }
        save { $0.opened = reign }
    }

    /// What the leader of the rule says in its heartbeat, which the store takes only under that rule.
    mutating func noteOpening(_ view: StoreView, _ rule: ClusterRule) {
        guard let beat = view.heartbeat, beat.isOpen, beat.epoch == rule.epoch, let reign = rule.history.last,
            reign.epoch == rule.epoch
        else { return }
        noteOpen(reign)
    }

    /// A read that began after another had shown less than this member knows, and shows less as well: what it knows is
    /// no longer so. One alone may only have been slow.
    mutating func isReversal(_ seen: StoreView, askedAt: Moment?, _ now: Moment) -> Bool {
        guard breakage != .dropsOlderReads, let askedAt else { return false }
        if let reversedAt, askedAt >= reversedAt { return true }
        reversedAt = reversedAt ?? now
        readDueAt = now
        return false
    }

    /// The view's revision means nothing beside that of a store that went back.
    mutating func forgetView() {
        view = nil
        beatSeen = 0
        leaderAliveAt = nil
        ruleChange = nil
        summons = nil
        signsOfLife = []
        reports.stored = nil
        undercuts = 0
    }
}

extension DurableState {
    /// A reign that this member knows of and that every later rule would show, but this one does not: then the store has
    /// gone back.
    ///
    /// One that was open has copies with bytes of it on so many members that every later leader's log has them, too: its
    /// history names that very reign, until it is among the oldest, which are dropped. One epoch has one reign. And a chain
    /// is taken from a rule without a recruitment, and no later rule has a lower epoch. That a reign of the chain is not in
    /// the history is *no* proof: one that was never open may be lost.
    package func reignLost(by rule: ClusterRule) -> Reign? { rule.reignLacking(opened: opened, chain: chain) }
}

extension ClusterRule {
    /// See ``DurableState/reignLost(by:)``.
    func reignLacking(opened: Reign?, chain: [Reign]) -> Reign? {
        if let opened, let oldest = history.first, oldest.epoch <= opened.epoch,
            !history.contains(where: { $0.isSame(as: opened) }), !hasGivenUp(opened)
        {
            return opened
        }
        if let last = chain.last, last.epoch > epoch, !hasGivenUp(last) { return last }
        return chain.first { own in
            history.last { $0.epoch == own.epoch }.map { !$0.isSame(as: own) } ?? false
        }
    }

    /// A person has decided a failover to a member that had nothing of it, so that no later rule has it: by name, or, where members
    /// vote, as one of those that may have been chosen unheard.
    func hasGivenUp(_ reign: Reign) -> Bool {
        guard let forced else { return false }
        return forced.lost.contains { $0.isSame(as: reign) } || forced.passesOver(reign.epoch)
    }
}

extension Reign {
    /// Whatever a newer version has written beside.
    func isSame(as other: Reign) -> Bool { epoch == other.epoch && leader == other.leader && begin == other.begin }
}
