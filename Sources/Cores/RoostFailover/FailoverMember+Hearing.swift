import RoostModel

// Members hear each other directly. What they hear of each other's lives can only make a recruitment come sooner; where they vote, what
// they say of votes and decisions counts as well.
extension FailoverMember {
    /// What it makes of the beats.
    struct Listening: Sendable {
        var hearing = Hearing()
        /// The leader was heard well, and is silent.
        var missesLeader = false
        /// Since when another member says so too, and none says otherwise.
        var agreedSince: Moment?
        var sayAt = Moment.zero
        /// Of a leader that is silent, or was when it was left.
        var doubted: DoubtedSilence?
        /// When a leader of the present epoch last said that it is open.
        var openAt = Moment.zero
        /// Of a recruitment, with the last beat.
        var said = Said()
        /// The last beat that was heard said another thing of a recruitment than that member's one before.
        var hearsAnswers = false
    }

    struct Said: Hashable, Sendable {
        var call: DirectCall?
        var answer: DirectAnswer?
        var plea: Plea?
        var vote: Ballot?
        var told: ToldDecision?

        init() {}

        init(_ beat: MemberBeat) {
            (call, answer, plea, vote, told) = (beat.call, beat.answer, beat.plea, beat.vote, beat.told)
        }
    }

    /// Called before everything else: the clock that wakes it was late, so this process stood still, and so may have what
    /// it was to hear.
    mutating func noteStandstill(_ now: Moment) {
        guard now - wakeAt > timings.standstillOfOwnMax else { return }
        listening.hearing.stoodStill(until: now)
        stoodStillAt = now
    }

    mutating func hear(_ beat: MemberBeat, after: Moment?, _ now: Moment) {
        listening.hearsAnswers = false
        voting.hasLearned = false
        guard let known = view?.rule, known.isHeard(beat.member), beat.member != name else { return }
        let former = listening.hearing.voice(of: beat.member)?.beat
        listening.hearsAnswers = former.map(Said.init) ?? Said() != Said(beat)
        listening.hearing.heard(
            beat, after: breakage == .heedsOldWords ? now : after, by: name, now, timings)
        renewByWord(now)
        if let told = beat.told, knowsMembers(of: beat) { learn(told, now) }
        guard let rule = view?.rule, beat.member == rule.leader else { return }
        if heardOpen(rule) != nil { listening.openAt = now }
        if !isUnheard(rule, now) { listening.missesLeader = false }
        guard rule.majority == true, beat.isOpen, beat.epoch == rule.epoch, let reign = rule.history.last else {
            return
        }
        noteOpen(reign)
    }

    /// - Parameter isTick: all that waited before it was handed over: a beat cannot lie there while its sender is missed.
    mutating func attend(isTick: Bool, _ now: Moment) {
        guard let rule = view?.rule, rule.hasOthers else { return }
        if isTick {
            let isMissed = missed(under: rule, now).map { isMissing($0, now) } ?? false || isUnheard(rule, now)
            // Others wait for this.
            if isMissed != listening.missesLeader { listening.sayAt = now }
            listening.missesLeader = isMissed
            noteDoubt(rule, now)
        }
        heedCalls(rule, now)
        heedElections(rule, isTick: isTick, now)
        callOnSuspicion(rule, now)
    }

    /// The last beat of the leader, where its silence could mean something.
    private func missed(under rule: ClusterRule, _ now: Moment) -> Hearing.Voice? {
        guard rule.recruitment == nil, rule.leader != name, rule.epoch == state.promised else { return nil }
        return listening.hearing.last(
            of: rule.leader, leading: rule.epoch, streamedAt: stream.heardAt, now, timings)
    }

    private func isMissing(_ voice: Hearing.Voice, _ now: Moment) -> Bool {
        !isPaused(now) && !listening.hearing.hears(voice, now, timings) && doubtByStream(voice, now) == nil
    }

    private func doubtByStream(_ voice: Hearing.Voice, _ now: Moment) -> SilenceDoubt? {
        guard case .following = phase, case .standby(let sample)? = observation, sample.isStreaming,
            let silence = sample.silence
        else { return nil }
        // Its Postgres may speak on: then it is the supervisor alone that is ill. A sample of before cannot tell.
        guard observedAt - voice.heardAt >= timings.sampleAfterBeatMin else {
            return now - voice.heardAt >= timings.suspicionMax ? nil : .streamUnknown
        }
        let goesOn = observedAt - voice.heardAt - silence > timings.streamAfterBeatMax
        return !goesOn || silence + (now - observedAt) >= timings.streamSilenceMax ? nil : .streamGoesOn
    }

    /// For whoever asks why a leader was left no sooner.
    private mutating func noteDoubt(_ rule: ClusterRule, _ now: Moment) {
        guard rule.recruitment == nil, rule.leader != name, rule.epoch == state.promised, !isPaused(now),
            let voice = listening.hearing.voice(of: rule.leader)
        else { return }
        let length = now - voice.heardAt
        guard length >= voice.limit(timings) else { return listening.doubted = nil }
        guard let doubt = doubt(of: voice, rule, now) else { return }
        listening.doubted = DoubtedSilence(epoch: rule.epoch, doubt: doubt, lasted: length)
    }

    private func doubt(of voice: Hearing.Voice, _ rule: ClusterRule, _ now: Moment) -> SilenceDoubt? {
        if listening.missesLeader {
            let others = othersOfEpoch(rule, now)
            guard others.contains(where: \.beat.missesLeader) else { return .missedAlone }
            return others.contains { $0.beat.hears.contains(rule.leader) } ? .heardByAnother : nil
        }
        return listening.hearing.doubt(
            of: rule.leader, leading: rule.epoch, streamedAt: stream.heardAt, now, timings)
            ?? doubtByStream(voice, now)
    }

    /// Of the leader's that was left last; nil: nothing was doubted for longer than the most unsteady path would have explained.
    var doubtedSilence: DoubtedSilence? {
        listening.doubted.flatMap { state.promised > $0.epoch && $0.lasted >= timings.suspicionMax ? $0 : nil }
    }

    private func othersOfEpoch(_ rule: ClusterRule, _ now: Moment) -> [Hearing.Voice] {
        memberVoices(rule).filter {
            $0.beat.member != rule.leader && $0.beat.epoch == rule.epoch && listening.hearing.hears($0, now, timings)
        }
    }

    /// Alone it proves nothing: it may be this member that hears nobody. The change itself is refused if the rule is not the
    /// one that this member has seen.
    private mutating func callOnSuspicion(_ rule: ClusterRule, _ now: Moment) {
        guard summons == nil, listening.missesLeader, mayCall(under: rule, now) else {
            listening.agreedSince = nil
            return
        }
        let others = othersOfEpoch(rule, now)
        let missing = others.filter(\.beat.missesLeader).map(\.beat.member)
        guard !missing.isEmpty,
            isUnheard(rule, now) || !others.contains(where: { $0.beat.hears.contains(rule.leader) })
        else {
            listening.agreedSince = nil
            return
        }
        let since = listening.agreedSince ?? now
        listening.agreedSince = since
        guard now - since >= stagger(behind: missing, rule) else { return }
        callDirectly(rule, now)
    }

    /// A member has said something that may decide a recruitment.
    func hasNewAnswers(_ now: Moment) -> Bool {
        guard listening.hearsAnswers, let rule = view?.rule else { return false }
        return recruitment(under: rule)?.epoch == state.promised
    }

    /// When this rule's leader last said itself that it is open.
    func heardOpen(_ rule: ClusterRule) -> Moment? {
        guard let voice = listening.hearing.voice(of: rule.leader), voice.beat.epoch == rule.epoch, voice.beat.isOpen
        else { return nil }
        return voice.heardAt
    }

    private func stagger(behind missing: [MemberName], _ rule: ClusterRule) -> Duration {
        timings.stagger * rule.members.prefix { $0 != name }.count(where: missing.contains)
    }

    mutating func sayIfDue(_ rule: ClusterRule, _ now: Moment) {
        let call = directCall(now)
        let answer = directAnswer(now)
        // Others wait for this.
        let plea = voting.candidacy.map { Plea(epoch: $0.epoch) }
        let vote = state.vote.flatMap { $0.epoch == state.promised && $0.member != nil ? $0 : nil }
        let told = toldDecision(rule)
        voting.told = (rule.epoch, told?.base ?? .none, told)
        var said = Said()
        (said.call, said.answer, said.plea, said.vote, said.told) = (call, answer, plea, vote, told)
        let isNews = said != listening.said
        guard now >= listening.sayAt || isNews else { return }
        if case .leaving(let farewell) = phase, farewell.step == .gone { return }
        listening.sayAt = now + timings.beatInterval
        listening.said = said
        guard !standsAside(under: rule) || breakage == .vouchesAside else { return }
        let hearing = listening.hearing
        let heard = hearing.voices.compactMap { hearing.hears($0, now, timings) ? $0.beat.member : nil }
        actions.append(
            .beat(
                MemberBeat(
                    member: name, epoch: state.promised, isOpen: phase.isInOffice && gateIsOpen && gateStands,
                    missesLeader: listening.missesLeader, hears: heard, call: call, answer: answer,
                    changes: rule.changes, forced: rule.forced?.epoch, plea: plea, vote: vote, told: told)))
    }

    /// It takes part in nothing, and is not to keep a lease for a leader that was given up with it, or that goes by a store that
    /// has gone back.
    private func standsAside(under rule: ClusterRule) -> Bool {
        if case .quarantined = phase { return true }
        return rule.givenUp.contains(name)
    }

    /// When to look again what is heard, and to speak.
    func wakeToListen(_ rule: ClusterRule, after now: Moment) -> Moment {
        var next = max(listening.sayAt, now)
        func consider(_ moment: Moment) { if moment > now { next = min(next, moment) } }
        if let voice = missed(under: rule, now) {
            consider(voice.heardAt + voice.limit(timings))
            // A sample has just told.
            if !listening.missesLeader, isMissing(voice, now) { consider(now + .milliseconds(1)) }
        }
        if let since = listening.agreedSince {
            consider(since + stagger(behind: rule.members, rule))
        }
        return next
    }
}
