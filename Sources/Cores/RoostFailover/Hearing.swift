import RoostModel

/// Whom this member hears by beats, how steadily, and whether a leader that was heard well has fallen silent.
struct Hearing: Sendable {
    struct Voice: Sendable {
        /// The last that it said.
        var beat: MemberBeat
        var heardAt: Moment
        /// Since when it has said without a gap that it leads this epoch and is open.
        var openSince: Moment?
        /// When it last said that it hears this member.
        var mutualAt: Moment?
        /// What it said last of what it has promised, it said after this moment; nil: nobody knows when.
        var saidAfter: Moment?
        /// How much its beats come before or after their time, smoothed. A path that nobody knows yet is taken for a bad one.
        var jitter: Duration
        /// The last time that it was not heard for longer than its limit, and was heard again.
        var silence: Silence?

        struct Silence: Sendable {
            var length: Duration
            var endedAt: Moment
            /// It fell silent while it led and was open.
            var wasOpen: Bool
        }

        func limit(_ timings: FailoverTimings) -> Duration {
            let steady = timings.beatInterval * timings.beatsMissedMin + jitter * 4
            return min(max(steady, timings.suspicionMin), timings.suspicionMax)
        }
    }

    /// One of each member at most.
    private(set) var voices: [Voice] = []
    /// When the epoch last changed.
    private var turnedAt: Moment?
    /// So many changes of epoch came soon after one another.
    private var turns = 0
    /// Leaders that were left in their silence, and were not heard since.
    private var left: Set<MemberName> = []
    /// When a leader was last left too soon…
    private var hastyAt: Moment?
    /// …and so many that came soon after one another.
    private var hastes = 0

    private static let turnsMax = 8

    /// - Parameter after: it was said after this moment; nil: that is not known.
    mutating func heard(
        _ beat: MemberBeat, after: Moment?, by own: MemberName, _ now: Moment, _ timings: FailoverTimings
    ) {
        guard let index = voices.firstIndex(where: { $0.beat.member == beat.member }) else {
            voices.append(
                Voice(
                    beat: beat, heardAt: now, openSince: beat.isOpen ? now : nil,
                    mutualAt: beat.hears.contains(own) ? now : nil, saidAfter: after, jitter: timings.beatInterval))
            return
        }
        var voice = voices[index]
        let gap = now - voice.heardAt
        let limit = voice.limit(timings)
        if gap >= limit {
            voice.silence = Voice.Silence(length: gap, endedAt: now, wasOpen: voice.beat.isOpen)
            if left.contains(beat.member), gap < timings.patience { leftTooSoon(now, timings) }
        }
        left.remove(beat.member)
        let isSteady = gap < limit && beat.epoch == voice.beat.epoch
        let early = gap < timings.beatInterval ? timings.beatInterval - gap : gap - timings.beatInterval
        // A gap is no jitter: a path that was cut is not a bad one afterwards.
        if gap < limit { voice.jitter = (voice.jitter * 7 + early) / 8 }
        // Of one epoch the latest counts, and of another what was said before does not.
        let before = beat.epoch == voice.beat.epoch ? voice.saidAfter : nil
        voice.saidAfter = before.map { max($0, after ?? $0) } ?? after
        voice.openSince = beat.isOpen ? (isSteady ? voice.openSince : nil) ?? now : nil
        voice.beat = beat
        voice.heardAt = now
        if beat.hears.contains(own) { voice.mutualAt = now }
        voices[index] = voice
    }

    /// This process stood still, and what was said meanwhile it may not have heard: all count from now.
    mutating func stoodStill(until now: Moment) {
        for index in voices.indices { voices[index].heardAt = now }
        // For how long they were silent nobody knows any more.
        left = []
    }

    /// Another epoch has begun.
    ///
    /// - Parameter former: who led until then.
    mutating func turned(leaving former: MemberName?, _ now: Moment, _ timings: FailoverTimings) {
        judge(former, now, timings)
        // What was waited for since may have been as long as that.
        let window = max(
            timings.unrestWindow, escalated(timings.isolationPatienceWhileHeard, upTo: timings.isolationMax) * 2)
        let isSoon = turnedAt.map { now - $0 < window } ?? false
        turns = isSoon ? min(turns + 1, Self.turnsMax) : 0
        turnedAt = now
    }

    /// Who is heard again before anybody would have left it by the store's patience was left for a gap of the path, and not
    /// because it was gone. Where it is silent still, that is seen when it is heard.
    private mutating func judge(_ former: MemberName?, _ now: Moment, _ timings: FailoverTimings) {
        guard let former, let voice = voice(of: former) else { return }
        guard hears(voice, now, timings) else {
            left.insert(former)
            return
        }
        guard let silence = voice.silence, now - silence.endedAt < timings.callMax, silence.length < timings.patience
        else { return }
        leftTooSoon(now, timings)
    }

    private mutating func leftTooSoon(_ now: Moment, _ timings: FailoverTimings) {
        hastes = isHasty(now, timings) ? min(hastes + 1, Self.turnsMax) : 1
        hastyAt = now
    }

    private func isHasty(_ now: Moment, _ timings: FailoverTimings) -> Bool {
        hastyAt.map { now - $0 < timings.unrestWindow } ?? false
    }

    func voice(of member: MemberName) -> Voice? {
        voices.firstIndex { $0.beat.member == member }.map { voices[$0] }
    }

    func hears(_ voice: Voice, _ now: Moment, _ timings: FailoverTimings) -> Bool {
        let silence = now - voice.heardAt
        // The least that a limit is.
        return silence < timings.suspicionMin || silence < voice.limit(timings)
    }

    /// For how long a leader must have been heard without a gap after one, before its silence means something. Longer after each
    /// that was left too soon: on a path that comes and goes, a quick suspicion would move the leader at every gap. One that
    /// was gone is no reason to wait for the next.
    func calm(_ now: Moment, _ timings: FailoverTimings) -> Duration {
        guard isHasty(now, timings) else { return timings.calmMin }
        return min(timings.calmMin * (1 << hastes), timings.calmMax)
    }

    /// A patience that doubles with each failover that comes soon after another: what is waited for may take so long because
    /// leaders take turns.
    func escalated(_ patience: Duration, upTo limit: Duration) -> Duration { min(patience * (1 << turns), limit) }

    /// The leader's last beat, if its silence begins to mean something at some time.
    func last(
        of leader: MemberName, leading epoch: Epoch, streamedAt: Moment?, _ now: Moment, _ timings: FailoverTimings
    ) -> Voice? {
        doubt(of: leader, leading: epoch, streamedAt: streamedAt, now, timings) == nil ? voice(of: leader) : nil
    }

    /// Why its silence would mean nothing, whenever it begins.
    ///
    /// It is gaps that show a path that comes and goes. That this process has begun to hear, or that leader to lead, is none:
    /// who started a moment ago would otherwise keep all from missing a leader, since one alone proves nothing. Nor is a silence
    /// of before it led: it may have been started anew. But where leaders were left too soon it may be what they do as leaders
    /// that makes them fall silent.
    ///
    /// - Parameter streamedAt: when this member last heard its leader's Postgres.
    func doubt(
        of leader: MemberName, leading epoch: Epoch, streamedAt: Moment?, _ now: Moment, _ timings: FailoverTimings
    ) -> SilenceDoubt? {
        guard let voice = voice(of: leader), voice.beat.epoch == epoch, voice.beat.isOpen,
            let openSince = voice.openSince
        else { return .neverOpen }
        let calm = calm(now, timings)
        let heard = voice.heardAt - openSince
        if isHasty(now, timings) { return heard >= calm ? nil : .leadersLeftTooSoon(calm: calm, heard: heard) }
        let hasStreamed = streamedAt.map { $0 >= openSince } ?? false
        guard heard >= (hasStreamed ? timings.heardOpenMin : timings.heardOpenAloneMin) else {
            return .heardBriefly(heard)
        }
        guard let silence = voice.silence, silence.wasOpen, voice.heardAt - silence.endedAt < calm else { return nil }
        return .gapBefore(voice.heardAt - silence.endedAt)
    }
}
