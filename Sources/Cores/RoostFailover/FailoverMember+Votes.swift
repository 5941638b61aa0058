import RoostModel

// Who leads, decided by the members' votes, where the rule says that more than half decide. Whoever the answers show to be the one
// asks for votes; each member gives one in each epoch, on disk; and more than half of them decide, whether or not the store is
// there. What is decided is the rule from then on, for whoever hears of it, and the store is told when it is there.
extension FailoverMember {
    struct Voting: Sendable {
        /// The rule under which this member leads if it is chosen…
        @Apart var candidacy: ClusterRule?
        /// …and the epoch of the one from which that follows.
        var over = Epoch.none
        /// Since when this epoch has been promised, and nobody chosen in it.
        var undecided: SufficientSince?
        /// So many epochs in a row that nobody was chosen in.
        var fruitless = 0
        /// Since when somebody is heard who has promised more.
        var aheadSince: Moment?
        /// Since when the store does not have what was decided.
        var unpublishedSince: Moment?
        /// The last beat that was heard has told of a decision.
        var hasLearned = false
        /// So many reads have shown less than what was decided stands on; nil: none, and no watch either.
        var doubts: Int?
        /// The store's rule does not say that more than half decide, and did.
        var keepsMark = false
        /// What is said of the last decision, and of which.
        var told: (epoch: Epoch, base: Epoch, words: ToldDecision?)?
    }

    /// What was decided is the rule here, and the store is not known to have it.
    var isUnpublished: Bool { state.decided.map { $0.rule.epoch == view?.rule?.epoch } ?? false }

    /// Of the last rule that the store is known to have had.
    private func base(of rule: ClusterRule) -> (epoch: Epoch, reign: Reign?) {
        if isUnpublished, let decided = state.decided { return (decided.base, decided.reign) }
        return (rule.epoch, rule.history.last)
    }

    // MARK: - A disk that was lost

    /// A member whose disk was lost may have promised and voted. It takes no part before so many have said what they have promised,
    /// in answer to this life of its process, that one of them knows of any decision in which it took part: it promises as much as
    /// they, and votes in later epochs only.
    mutating func mayTakePart(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard rule.majority == true, rule.members.count > 1, rule.members.contains(name), state.promised == .none
        else { return true }
        // One that has promised nothing knows nothing either, and what nobody can have come to is no promise.
        let said = rule.members.compactMap { member -> Epoch? in
            guard member != name, let voice = listening.hearing.voice(of: member), voice.saidAfter != nil,
                voice.beat.epoch == rule.epoch || rule.mayElect(voice.beat.epoch)
            else { return nil }
            return voice.beat.epoch
        }
        // Of more than half of them, also where they are one more or one fewer since.
        let needed = min(rule.members.count / 2 + 1, rule.members.count - 1)
        guard said.count >= needed, let greatest = said.max() else {
            detail =
                "its disk is new: it waits until \(counted(needed, "other member has", plural: "other members have")) "
                + "said what they have promised"
            return false
        }
        detail = nil
        promise(greatest)
        save { $0.vote = Ballot(epoch: greatest, member: nil) }
        return true
    }

    // MARK: - Votes

    /// It asks for votes, and gives itself its own.
    mutating func stand(for next: ClusterRule, over rule: ClusterRule) {
        let own = Ballot(epoch: next.epoch, member: name)
        if state.vote?.epoch ?? .none < next.epoch { save { $0.vote = own } }
        guard state.vote == own else { return }
        voting.candidacy = next
        voting.over = rule.epoch
    }

    /// The first that asks has it. Not one that goes by members of before those that are known here.
    mutating func castVote(_ rule: ClusterRule, _ now: Moment) {
        let mayVoteAgain = breakage == .votesTwice
        guard rule.majority == true, rule.epoch < state.promised,
            mayVoteAgain || state.vote?.epoch ?? .none < state.promised || isForTheNamed(rule)
        else { return }
        // What it has itself may be what only it and a leader of other members have.
        let own = answerReport(now)?.position
        guard own != nil || state.data != .usable else { return }
        let candidate = memberVoices(rule).first { voice in
            guard let plea = voice.beat.plea, plea.epoch == state.promised, voice.beat.epoch == plea.epoch,
                rule.forcedCall.map({ $0.member == voice.beat.member }) ?? true
            else { return false }
            return voice.beat.changes ?? 0 >= state.membership?.changes ?? 0
                && listening.hearing.hears(voice, now, timings)
                && !hasLess(voice.beat, than: own, rule)
                && !(mayVoteAgain && state.vote == Ballot(epoch: plea.epoch, member: voice.beat.member))
        }
        guard let candidate else { return }
        save { $0.vote = Ballot(epoch: $0.promised, member: candidate.beat.member) }
    }

    /// It may have voted in this epoch on a disk that it has lost, but for nobody else than the one that a person has named.
    private func isForTheNamed(_ rule: ClusterRule) -> Bool {
        rule.forcedCall?.epoch == state.promised && state.vote == Ballot(epoch: state.promised, member: nil)
    }

    /// By what it has answered, directly or through the store. One that has said nothing here has said it to others: more than half
    /// of the answers are what it stands on.
    private func hasLess(_ candidate: MemberBeat, than own: Position?, _ rule: ClusterRule) -> Bool {
        let stored = view?.reports.first {
            $0.member == candidate.member && $0.promised == candidate.epoch && $0.chain != nil
        }
        let answer = candidate.answer?.report(of: candidate.member, by: rule.history) ?? stored
        guard let own, let position = answer?.position else { return false }
        return position < own
    }

    /// - Returns: whether this member was chosen.
    mutating func countVotes(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard let candidacy = voting.candidacy else { return false }
        guard candidacy.epoch == state.promised, rule.epoch == voting.over, candidacy.changes == rule.changes,
            rule.forcedCall.map({ $0.member == name }) ?? true
        else {
            voting.candidacy = nil
            return false
        }
        let own = Ballot(epoch: candidacy.epoch, member: name)
        let votes = candidacy.members.count { member in
            member == name ? state.vote == own : listening.hearing.voice(of: member)?.beat.vote == own
        }
        let needed = candidacy.members.count / 2 + (breakage == .countsTooFewVotes ? 0 : 1)
        guard votes >= needed else { return false }
        voting.candidacy = nil
        let base = base(of: rule)
        var decision = MemberDecision(rule: candidacy, base: base.epoch, reign: base.reign)
        // What else was asked for since it stood stays asked for.
        decision.rule = decision.over(rule)
        adopt(decision, now)
        return true
    }

    // MARK: - What was decided

    private mutating func adopt(_ decision: MemberDecision, _ now: Moment) {
        guard var next = view else { return }
        save { $0.decided = decision }
        // What this member has asked for was of the rule before: whether it was taken, the store shows.
        ruleChange = nil
        let former = next.rule?.leader
        next.rule = decision.rule
        beatSeen = 0
        leaderAliveAt = nil
        newsAt = now
        listening.hearing.turned(leaving: former, now, timings)
        view = next
    }

    /// It knows of each failover that a person has decided, as that one does. Else it may be one that was given up, and have what
    /// nobody else has: it waits for the store. An election that those hold who are left is none of its own, nor is the epoch.
    func knowsMembers(of beat: MemberBeat) -> Bool {
        breakage == .heedsLaterMembers || beat.forced ?? .none <= view?.rule?.forced?.epoch ?? .none
    }

    /// A beat tells of a decision that is not known here.
    mutating func learn(_ told: ToldDecision, _ now: Moment) {
        guard let rule = view?.rule, rule.majority == true, let next = told.decided(over: rule) else { return }
        if case .quarantined = phase { return }
        let known = base(of: rule)
        adopt(
            MemberDecision(
                rule: next, base: max(told.base, known.epoch), reign: told.base <= known.epoch ? known.reign : nil), now
        )
        voting.hasLearned = true
    }

    /// For those that may have missed it.
    func toldDecision(_ rule: ClusterRule) -> ToldDecision? {
        guard rule.majority == true else { return nil }
        let base = base(of: rule).epoch
        if let told = voting.told, told.epoch == rule.epoch, told.base == base { return told.words }
        return ToldDecision(rule, base: base)
    }

    /// What the store shows, with what members have decided since. Where it shows less than that stands on it has gone back, and is
    /// left as it is.
    mutating func reconcile(_ seen: inout StoreView, isRead: Bool, _ now: Moment) {
        keepMark(&seen)
        guard let decision = state.decided, let rule = seen.rule else { return }
        if rule.epoch > decision.rule.epoch || decision.isKnown(to: rule) {
            voting.doubts = nil
            save { $0.decided = nil }
        } else if decision.stands(on: rule) {
            voting.doubts = nil
            seen.rule = decision.over(rule)
        } else if decision.isContradicted(by: rule) {
            // What is late shows that, too: reads have to, begun one after the other.
            let doubts = (voting.doubts ?? 0) + (isRead ? 1 : 0)
            voting.doubts = doubts
            guard doubts < Self.reversalReads, view?.rule?.epoch == decision.rule.epoch else { return }
            seen.rule = view?.rule
            if isRead { readDueAt = now }
        }
    }

    /// Members that go by half, beside others that go by more than half, would decide against one another.
    private mutating func keepMark(_ seen: inout StoreView) {
        let isThere = seen.rule?.majority == true
        let forced = seen.rule?.forced?.epoch ?? .none
        let isOlder = state.mark.map { $0 < forced } ?? true
        if isThere, isOlder { save { $0.mark = forced } }
        voting.keepsMark = !isThere && !isOlder
        if voting.keepsMark { seen.rule?.majority = true }
    }

    /// The store has it now.
    mutating func notePublished(_ rule: ClusterRule) {
        guard let decision = state.decided, rule.epoch >= decision.rule.epoch else { return }
        voting.doubts = nil
        save { $0.decided = nil }
    }

    /// Whoever was chosen tells the store; the others, where that one cannot.
    mutating func publish(_ rule: ClusterRule, _ now: Moment) {
        guard isUnpublished, rule.recruitment == nil, voting.doubts == nil else {
            voting.unpublishedSince = nil
            return
        }
        let since = voting.unpublishedSince ?? now
        voting.unpublishedSince = since
        let order = rule.members.prefix { $0 != name }.count
        let wait = rule.leader == name ? .zero : timings.unstoredPatience + timings.stagger * order
        guard now - since >= wait, isStoreThere(now) || rule.leader == name else { return }
        changeRule(rule, now)
    }

    // MARK: - Calls

    /// Nobody has heard for long that the leader is open, neither it nor the store: it may have died before it was.
    func isUnheard(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard rule.majority == true, rule.recruitment == nil, rule.leader != name, rule.epoch == state.promised,
            !isPaused(now)
        else { return false }
        let voice = listening.hearing.voice(of: rule.leader)
        // In office and not open yet, or for a moment: that ends by itself, or by its own word.
        let isThere = voice.map { $0.beat.epoch == rule.epoch && listening.hearing.hears($0, now, timings) } ?? false
        let limit = isThere ? timings.isolationMax : timings.unheardMax
        let silence = now - max(newsAt, heardOpen(rule) ?? newsAt, listening.openAt)
        guard silence >= limit else { return false }
        let order = rule.members.filter { $0 != rule.leader }.firstIndex(of: name) ?? 0
        return silence >= limit + timings.stagger * order
    }

    /// Calls for later epochs than the next one, and those that members have promised already.
    mutating func heedElections(_ rule: ClusterRule, isTick: Bool, _ now: Moment) {
        guard rule.majority == true, hasRead || goesByKept, proofOfReversal(rule) == nil, state.promised > .none,
            rule.members.contains(name)
        else { return }
        let promised = state.promised
        // Mostly there are none.
        let voices = memberVoices(rule) { $0.beat.epoch > min(promised, rule.epoch) || $0.beat.call != nil }
        let ahead = voices.filter { voice in
            voice.beat.epoch > promised && rule.mayElect(voice.beat.epoch) && knowsMembers(of: voice.beat)
                && listening.hearing.hears(voice, now, timings)
        }
        let isLed = voices.contains { voice in
            voice.beat.isOpen && voice.beat.epoch > rule.epoch && listening.hearing.hears(voice, now, timings)
        }
        guard !isLed else {
            voting.aheadSince = nil
            return voting.undecided = nil
        }
        // In an election already: there is nobody to be left for it.
        let isFree = promised > rule.epoch
        let call = voices.first { voice in
            guard isFree, let call = voice.beat.call, call.epoch > promised, rule.mayElect(call.epoch),
                knowsMembers(of: voice.beat)
            else { return false }
            return listening.hearing.hears(voice, now, timings)
        }
        if let voice = call, let epoch = voice.beat.call?.epoch {
            return summon(to: epoch, by: voice.beat.member, rule, now)
        }
        if let most = ahead.max(by: { $0.beat.epoch < $1.beat.epoch }) {
            let since = voting.aheadSince ?? now
            voting.aheadSince = since
            // Whoever has promised it can follow nobody before.
            if now - since >= timings.unstoredPatience { summon(to: most.beat.epoch, by: most.beat.member, rule, now) }
        } else {
            voting.aheadSince = nil
        }
        if isTick { callAgain(rule, now) }
    }

    /// Nobody was chosen in the epoch that was called for: another one.
    private mutating func callAgain(_ rule: ClusterRule, _ now: Moment) {
        let promised = state.promised
        guard promised > rule.epoch else {
            voting.fruitless = 0
            return voting.undecided = nil
        }
        guard case .waiting = phase else { return voting.undecided = nil }
        if voting.undecided?.epoch != promised {
            if voting.undecided != nil { voting.fruitless = min(voting.fruitless + 1, Self.fruitlessMax) }
            voting.undecided = SufficientSince(epoch: promised, moment: now)
        }
        let order = rule.members.prefix { $0 != name }.count
        let heard = rule.members.count { member in
            member == name
                || listening.hearing.voice(of: member).map { listening.hearing.hears($0, now, timings) } ?? false
        }
        // Too few can decide nothing, and what they have waited says nothing once there are enough.
        guard heard * 2 > rule.members.count else {
            voting.undecided = SufficientSince(epoch: promised, moment: now)
            return
        }
        // With everybody slow, the answers to the last call would come after the next one.
        let patience = timings.electionPatience * (1 << voting.fruitless)
        guard let since = voting.undecided?.moment, now - since >= patience + timings.stagger * order,
            rule.mayElect(promised.next), rule.forcedCall == nil
        else { return }
        voting.undecided = SufficientSince(epoch: promised, moment: now)
        summon(to: promised.next, by: name, rule, now)
    }

    private static let fruitlessMax = 3
}

extension MemberDecision {
    /// It is the store's last.
    func isKnown(to stored: ClusterRule) -> Bool {
        guard stored.epoch == rule.epoch, let own = rule.history.last, let last = stored.history.last else {
            return false
        }
        return last.isSame(as: own)
    }

    /// The store would show it, or what it stands on, or what came later, if it had not gone back. Where members are called beyond
    /// it, their logs tell.
    func isContradicted(by rule: ClusterRule) -> Bool {
        if rule.called == self.rule.epoch, rule.epoch < base { return true }
        return rule.called < self.rule.epoch || rule.epoch == self.rule.epoch && !isKnown(to: rule)
    }
}
