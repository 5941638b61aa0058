import RoostModel

// What the member knows of the store: views, news, silence; and the changes it asks for.
extension FailoverMember {
    mutating func see(_ seen: StoreView, _ source: ViewSource, _ now: Moment) {
        let heardAt = storeHeardAt
        var isRead = false
        var askedAt: Moment?
        if case .read(let number) = source {
            isRead = true
            // What was asked for before is no older than that; when that was, nobody knows any more.
            if number == lastRead {
                askedAt = readAskedAt
                readAskedAt = nil
            }
            hearStore(now)
        }
        if case .kept = source { return adopt(seen, now) }
        // A new process may have lost its disk with its promises: it must not believe a stale watch.
        guard isRead || hasRead else { return }
        hasRead = true
        goesByKept = false
        if let view, seen.revision < view.revision {
            guard isRead, isReversal(seen, askedAt: askedAt, now) else { return }
            forgetView()
        }
        if isRead { reversedAt = nil }
        // Of a store that was not heard for longer, or that has gone back, a wish may be of any time.
        var seen = seen
        reconcile(&seen, isRead: isRead, now)
        let isComing = view?.rule != nil && now - heardAt <= timings.lease
        noteNews(seen, now)
        view = seen
        shared.note(seen, besides: name)
        noteWishes(seen, isComing: isComing, now)
        noteCalled(seen, source, now)
        if isRead { callRecruitment(now) }
    }

    private mutating func noteNews(_ seen: StoreView, _ now: Moment) {
        if seen.ruleRevision != view?.ruleRevision {
            if seen.rule?.epoch != view?.rule?.epoch {
                beatSeen = 0
                leaderAliveAt = nil
                if let former = view?.rule { listening.hearing.turned(leaving: former.leader, now, timings) }
            }
            heardNews(now)
        }
        if let beat = seen.heartbeat, beat.epoch == seen.rule?.epoch,
            RecordNumber.isLater(beat.sequence, than: beatSeen)
        {
            // The first one seen may be old.
            if beatSeen > 0 { leaderAliveAt = now }
            beatSeen = beat.sequence
            heardNews(now)
        }
        for report in seen.reports where report.member != name {
            if let index = signsOfLife.firstIndex(where: { $0.report.member == report.member }) {
                if signsOfLife[index].report != report {
                    signsOfLife[index] = MemberSign(report: report, changedAt: now)
                }
            } else {
                // Not a sign of life: nobody knows how old it is.
                signsOfLife.append(MemberSign(report: report, changedAt: .zero))
            }
        }
    }

    /// News came through the store, so it is there.
    private mutating func heardNews(_ now: Moment) {
        newsAt = now
        hearStore(now)
        storeHeardFor = .zero
        readDueAt = now + timings.doubtAfter
    }

    private mutating func hearStore(_ now: Moment) {
        if now - storeHeardAt > timings.storeGapMax { storeSince = now }
        storeHeardFor += min(now - storeHeardAt, timings.storeGapMax)
        storeHeardAt = now
    }

    /// The leader of the view's rule has begun, and was seen to renew its lease: nobody throws data away for a leader
    /// that may be gone.
    func leaderLives(_ now: Moment) -> Bool {
        if let rule = view?.rule, rule.majority == true, let heardAt = heardOpen(rule), now - heardAt < timings.patience
        {
            return true
        }
        guard let rule = view?.rule, let beat = view?.heartbeat, let leaderAliveAt else { return false }
        return beat.epoch == rule.epoch && now - leaderAliveAt < timings.patience
    }

    /// - Parameter revision: nil: of the rule as it was last seen.
    mutating func changeRule(_ rule: ClusterRule, on revision: Int64? = nil, _ now: Moment) {
        guard ruleChange == nil, now >= ruleChangeDueAt, let view, !isUnpublished || rule == view.rule else { return }
        var rule = rule
        // It is for a leader to write.
        if voting.keepsMark, rule.epoch == view.rule?.epoch, rule.leader != name { rule.majority = nil }
        lastRuleChange = lastRuleChange.next
        ruleChange = PendingRule(number: lastRuleChange, rule: rule, askedAt: now)
        actions.append(.changeRule(rule, expectedRevision: revision ?? view.ruleRevision, lastRuleChange))
    }

    mutating func ruleAnswered(_ number: RuleChangeNumber, _ answer: StoreAnswer, _ now: Moment) {
        guard let change = ruleChange, change.number == number else { return }
        ruleChange = nil
        denial = nil
        switch answer {
        case .applied(let revision):
            noteStored(change.rule, revision)
            notePublished(change.rule)
            guard var next = view, revision > next.ruleRevision else { return }
            next.rule = change.rule
            next.ruleRevision = revision
            next.revision = max(next.revision, revision)
            reconcile(&next, isRead: false, now)
            noteNews(next, now)
            view = next
            // The change was possible only while nobody else had changed the rule: as good as a heartbeat.
            if change.rule.leader == name, change.rule.recruitment == nil {
                renewed(asOf: change.askedAt)
            }
        case .refused, .unknown:
            readDueAt = now
            ruleChangeDueAt = now + timings.readInterval
        case .denied(let words):
            denial = Denial(words: words, revision: view?.ruleRevision ?? 0)
            readDueAt = now
            ruleChangeDueAt = now + timings.readInterval
        case .unavailable:
            ruleChangeDueAt = now + timings.readInterval
        }
    }

    /// Of a change of the rule that its host does not take, and never will.
    struct Denial: Hashable, Sendable {
        var words: String
        /// Of the rule that it was to replace.
        var revision: Int64
    }

    /// For people: it tries again and again, and nobody else knows why nothing comes of it.
    var denialWords: String? {
        guard let denial, denial.revision == view?.ruleRevision else { return nil }
        return "its host does not take what it makes of the rule: \(denial.words)"
    }

    mutating func heartbeatAnswered(_ sequence: UInt64, _ answer: StoreAnswer, _ now: Moment) {
        guard let index = beats.firstIndex(where: { $0.sequence == sequence }) else { return }
        let beat = beats.remove(at: index)
        switch answer {
        case .applied:
            // The lease counts from before the sending: whatever took long since then is not ours.
            renewed(asOf: beat.askedAt)
            // It was denied by mistake, or before this was so.
            if let deniedAt = lastDeniedAt, beat.askedAt > deniedAt { lastDeniedAt = nil }
        case .refused:
            readDueAt = now
        case .denied:
            lastDeniedAt = now
        case .unavailable, .unknown:
            break
        }
    }

    private mutating func renewed(asOf moment: Moment) {
        storeRenewedAt = max(storeRenewedAt ?? .zero, moment)
        guard !leaseIsTheMembers else { return }
        leaseUntil = max(leaseUntil ?? .zero, moment + timings.lease)
    }

    /// Everything that is due by time alone: heartbeat, read, report.
    mutating func tend(_ now: Moment) {
        if phase.isInOffice {
            renewLease(now)
            holdByWord(now)
        }
        readIfDue(now)
        reportIfDue(now)
        if let change = ruleChange, now - change.askedAt > timings.storeRequestMax * 2 { ruleChange = nil }
    }

    private mutating func renewLease(_ now: Moment) {
        let patience = timings.storeRequestMax
        beats.removeAll { now - $0.askedAt > patience }
        guard now >= beatDueAt, let view, let rule = view.rule, rule.epoch == state.promised, rule.leader == name,
            rule.recruitment == nil, !isUnpublished
        else { return }
        let stored = view.heartbeat.flatMap { $0.epoch == rule.epoch ? $0.sequence : nil }
        beatSequence = RecordNumber.next(own: beatSequence, known: stored ?? 0)
        // What is on its way where a connection was cut has no answer for long: it keeps none back that would have one.
        if beats.count == Self.heartbeatsInFlightMax { beats.removeFirst() }
        beats.append(PendingBeat(sequence: beatSequence, askedAt: now))
        beatDueAt = now + timings.heartbeatInterval
        actions.append(.heartbeat(heartbeat(under: rule, now), ruleRevision: view.ruleRevision))
    }

    func heartbeat(under rule: ClusterRule, _ now: Moment) -> Heartbeat {
        Heartbeat(
            epoch: rule.epoch, leader: name, sequence: beatSequence, isOpen: gateIsOpen && gateStands,
            mayReplace: granted, standbys: standbys(under: rule, now))
    }

    private var granted: MemberName? {
        guard case .leading(let reigning) = phase, let leave = reigning.leave, leave.isGranted else { return nil }
        return leave.member
    }

    /// What its Postgres shows now, not what it showed before it fell silent. While who confirms is changed it is not asked, and
    /// what it showed last is so still: whoever confirmed does not leave for that.
    private func standbys(under rule: ClusterRule, _ now: Moment) -> [StandbyView] {
        if case .primary? = observation, now - observedAt <= timings.sampleAgeMax { return streams.standbys }
        if case .leading(let reigning) = phase, case .confirmBy? = lastStarted,
            running != nil || now - reigning.heardAt <= timings.sampleAgeMax
        {
            return streams.standbys
        }
        return rule.members.filter { $0 != name }.map(StreamWatch.absent)
    }

    private mutating func readIfDue(_ now: Moment) {
        if let asked = readAskedAt, now - asked < timings.storeRequestMax * 2 { return }
        guard now >= readDueAt else { return }
        if case .leaving = phase { return }
        readAskedAt = now
        lastRead = lastRead.next
        // A recruitment that lacks answers may lack them for long.
        let isLongSilent = now - newsAt > timings.reassuranceInterval && view?.rule?.recruitment != nil
        readDueAt = now + (isLongSilent ? timings.storeGapMax : timings.readInterval)
        actions.append(.read(lastRead))
    }
}
