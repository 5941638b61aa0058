import RoostModel

// Getting other data than there is: nothing that may hold a confirmed commit goes before something better is whole.
extension FailoverMember {
    /// Takes the data back to where the leader began. In place: if that is broken off, the data counts for nothing. So it
    /// is tried out first, while the data still counts: the leader may be gone, and then this may be the copy that is
    /// needed.
    ///
    /// - Parameter agreed: up to where the log is the cluster's.
    mutating func rewind(_ rule: ClusterRule, end: LSN, agreed: LSN, _ reason: String, _ now: Moment) {
        guard now >= retryAt else { return }
        detail = reason
        guard leaderLives(now) else { return }
        let kept = rule.history.position(at: min(end, agreed))
        switch wayBack(rule, keeping: kept, now) {
        case .inPlace: break
        case .copy: return copy(rule, end: end, reason, now)
        case .wait(let other):
            detail =
                "\(reason): that is taken back when \(other) has what was confirmed, or \(rule.leader) lets clients in"
            return
        }
        asksLeave = false
        phase = .rewinding(
            Repair(
                chain: rule.history, timeline: rule.lastTimeline, former: state.chain, data: state.data, agreed: kept))
        if breakage == .rewindsUntried { return triedRewind(rule.leader) }
        start(.tryRewind(to: rule.leader, epoch: rule.epoch))
    }

    /// The leader is there, and has what it takes.
    mutating func triedRewind(_ leader: MemberName) {
        guard case .rewinding(var repair) = phase else { return }
        repair.isTried = true
        phase = .rewinding(repair)
        save { $0.data = .rewinding }
        start(.rewind(to: leader, epoch: state.promised))
    }

    /// What becomes of data that goes on beyond where the leader began.
    private enum WayBack {
        case inPlace
        case copy
        /// Another one may need what is here.
        case wait(MemberName)
    }

    /// For whom what is here is spared, and since when that one has come no further.
    struct Sparing: Hashable, Sendable {
        var epoch: Epoch
        var began: Moment
        var member: MemberName
        var position: Position?
        var since: Moment
    }

    /// Nothing has changed since it began to try it out that speaks against it.
    mutating func mayRewind(_ rule: ClusterRule, keeping kept: Position?, _ now: Moment) -> Bool {
        if case .inPlace = wayBack(rule, keeping: kept, now) { true } else { false }
    }

    /// An open leader is proof that enough others have all that was ever confirmed. One that is closed may wait for this
    /// very member; it may then be short of copies for a moment, but not because of two of us at once, nor because another
    /// one that lives has not got so far yet: what it lacks may be on the leader's disk and on this one alone. After each
    /// election somebody is behind for a moment. One that comes no further is not waited for: it may be ill for good, and
    /// nobody can write meanwhile.
    private mutating func wayBack(_ rule: ClusterRule, keeping kept: Position?, _ now: Moment) -> WayBack {
        if let beat = view?.heartbeat, beat.epoch == rule.epoch, beat.isOpen { return .inPlace }
        if anyLacksData(rule, except: name) { return .copy }
        guard let other = liveMember(behind: kept, rule, now) else { return .inPlace }
        let position = view?.reports.first { $0.member == other }?.position
        var spared =
            sparing.flatMap { $0.epoch == rule.epoch ? $0 : nil }
            ?? Sparing(epoch: rule.epoch, began: now, member: other, position: position, since: now)
        if (spared.member, spared.position) != (other, position) {
            (spared.member, spared.position, spared.since) = (other, position, now)
        }
        sparing = spared
        let isWorth = now - spared.since < timings.sparingMax && now - spared.began < timings.sparingTotalMax
        return isWorth ? .wait(other) : .inPlace
    }

    /// Another member lives, by its own beats or by its reports in the store, and has less of the cluster's log than this one,
    /// or does not say how much. Who is not heard is lost for now. Who has as much needs nothing of it, and of two that both
    /// left the history the one with more waits for the other, never both.
    private func liveMember(behind kept: Position?, _ rule: ClusterRule, _ now: Moment) -> MemberName? {
        guard let kept else { return nil }
        return rule.members.first { member in
            guard member != name, member != rule.leader else { return false }
            let isHeard = listening.hearing.voice(of: member).map { now - $0.heardAt < timings.lease } ?? false
            guard isHeard || liveSign(of: member, now) != nil else { return false }
            guard let position = view?.reports.first(where: { $0.member == member })?.position else { return true }
            // Who has a reign that is not in the history is copied anew: nothing here brings it further.
            return rule.history.agreed(with: position).map { $0 < kept } ?? false
        }
    }

    func anyLacksData(_ rule: ClusterRule, except member: MemberName) -> Bool {
        view?.reports.contains { report in
            report.member != member && report.member != rule.leader && rule.members.contains(report.member)
                && report.lacksData
        } ?? false
    }

    /// Copies the leader's data beside what is there; where the volume has no room for both, and the leader gives leave,
    /// in its place.
    ///
    /// - Parameter reason: why the data that counts must be replaced; nil when none does.
    mutating func copy(_ rule: ClusterRule, end: LSN?, _ reason: String?, _ now: Moment) {
        if let reason, !asksLeave { detail = reason }
        if asksLeave || breakage == .discardsWithoutLeave, mayDiscard(rule, now) { return discard() }
        guard now >= retryAt else { return }
        if asksLeave, !countsForSomething { return discard() }
        guard leaderLives(now) else {
            if reason == nil { detail = "waits for \(rule.leader) to copy from" }
            return
        }
        if reason == nil { detail = nil }
        begin(
            Copying(chain: rule.history, timeline: rule.lastTimeline, end: end, isProven: true), from: rule)
    }

    mutating func begin(_ copying: Copying, from rule: ClusterRule) {
        phase = .cloning(copying)
        start(.clone(from: rule.leader, epoch: rule.epoch))
    }

    private func mayDiscard(_ rule: ClusterRule, _ now: Moment) -> Bool {
        if breakage == .discardsWithoutLeave { return leaderLives(now) && state.data == .usable }
        guard countsForSomething, let beat = view?.heartbeat, beat.epoch == rule.epoch, beat.mayReplace == name else {
            return false
        }
        return leaderLives(now)
    }

    /// To whoever may still need what is there.
    private var countsForSomething: Bool {
        switch state.data {
        case .usable, .spoiled, .exchanging: true
        case .empty, .cloning, .rewinding: false
        }
    }

    private mutating func discard() {
        asksLeave = false
        save {
            $0.data = .cloning
            $0.chain = []
            $0.timeline = nil
        }
        phase = .discarding
        start(.discard)
    }

    mutating func discarded(_ now: Moment) {
        retryAt = now
        phase = .empty
    }

    /// The copy is whole and on disk: from here on it is what counts.
    mutating func copied(_ copying: Copying) {
        failures = 0
        asksLeave = false
        if !copying.isProven { hasCopiedInVain = true }
        save {
            $0.data = .exchanging
            $0.chain = copying.chain
            $0.timeline = copying.timeline
        }
        phase = .exchanging
        start(.exchange)
    }

    mutating func exchanged(_ now: Moment) {
        failures = 0
        retryAt = now
        outgrown = nil
        save { $0.data = .usable }
        phase = .reading
    }

    /// No copy came of it; what was there is there.
    mutating func notCopied(_ copying: Copying, _ reason: String, _ now: Moment) {
        retryLater(reason, now)
        if let end = copying.end {
            phase = .waiting(end: end)
        } else {
            phase = state.data == .usable ? .reading : .empty
        }
    }

    // MARK: - The leader's leave

    /// Gives one member at a time leave to remove its data: when enough others stream, and have all that it can ever
    /// have confirmed, and nobody else is without data. The leave is that member's until it streams again.
    func leave(_ reigning: Reigning, _ rule: ClusterRule, _ sample: PrimaryObservation) -> Leave? {
        guard reigning.isOpen, rule.members.count > 2, let reports = view?.reports else { return nil }
        let streaming = sample.standbys.filter { $0.isStreaming && rule.members.contains($0.member) }
        var leave = reigning.leave
        if let held = leave {
            let report = reports.first { $0.member == held.member }
            let isWhole = report.map { $0.asksToReplace != true && !$0.lacksData } ?? true
            if isWhole || streaming.contains(where: { $0.member == held.member }) { leave = nil }
        }
        if leave == nil {
            let asking = reports.first { report in
                report.asksToReplace == true && report.promised == rule.epoch && rule.members.contains(report.member)
                    && !streaming.contains { $0.member == report.member }
                    && !anyLacksData(rule, except: report.member)
            }
            leave = asking.map { Leave(member: $0.member, required: sample.flushed) }
        }
        guard var leave else { return nil }
        let others = streaming.filter { $0.member != leave.member && $0.flushed >= leave.required }
        leave.isGranted = others.count >= max(rule.confirmations, 1)
        return leave
    }
}

extension MemberReport {
    /// It has no data that would count in a recruitment, or is about to give up what it has.
    var lacksData: Bool {
        // Wherever it ends, what is held back is no copy that others could count on.
        guard position == nil || state == .failed else { return false }
        return switch state {
        // One that has just begun shows that too, and has not looked at what it has.
        case .empty: data != .whole
        // A word of a newer program may mean that, too.
        case .initializing, .cloning, .rewinding, .unknown: true
        // It has data, and holds it back.
        case .failed: true
        case .starting, .running, .waiting, .stopped: isWithoutData
        }
    }

    private var isWithoutData: Bool {
        switch data {
        case .absent, .unfinished, .spoiled: true
        case .whole, .replaced, .unknown, nil: false
        }
    }
}
