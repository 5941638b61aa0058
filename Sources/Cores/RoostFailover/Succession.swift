public import RoostModel

// What could follow a rule when members choose another leader. Whoever makes such a rule (RecruitmentTally) and whoever judges one
// (UnlawfulChange) ask here: what one member says must not make of the others' decision a rule that every host refuses.
extension [Reign] {
    /// Each has a later epoch than the one before, and begins where that one has got to, or further on.
    public var isInOrder: Bool {
        zip(self, dropFirst()).allSatisfy { $0.epoch < $1.epoch && $0.begin <= $1.begin }
    }
}

extension ClusterRule {
    /// Why these cannot be the reigns that a log of this cluster comes from; nil when they can. They may lack some of the rule's,
    /// and have some that the rule does not: those of leaders that were never open. A member that has others knows that
    /// the store has gone back, and answers nobody.
    func objection(to chain: [Reign]) -> String? {
        guard !chain.isEmpty else { return "a log without reigns" }
        guard chain.isInOrder else { return "reigns that do not follow one another" }
        return reignLacking(opened: nil, chain: chain).map {
            "a reign of \($0.leader) in epoch \($0.epoch), which is not one of this cluster"
        }
    }

    /// The same, of the log of whoever was chosen for this epoch: members may have chosen others since, of whom this rule knows nothing.
    func objection(to chain: [Reign], before epoch: Epoch) -> String? {
        guard majority == true else { return objection(to: chain) }
        guard chain.isInOrder, chain.last.map({ $0.epoch < epoch }) ?? true else {
            return "reigns that do not follow one another"
        }
        return objection(to: Array(chain.prefix { $0.epoch <= self.epoch }))
    }

    /// What this member shows of its log cannot be.
    func objects(to report: MemberReport) -> Bool { report.chain.flatMap { objection(to: $0) } != nil }

    /// The rule under which a member leads whose log ends there.
    ///
    /// - Parameters:
    ///   - chain: the reigns that the log comes from. What this rule has of them counts, and of others what this version
    ///     knows: a member says what it likes, and the rule has to stay one that can be stored.
    ///   - timeline: of the log's last byte, where it does not follow from this rule.
    func succeeded(by member: MemberName, in epoch: Epoch, with chain: [Reign], upTo end: LSN, timeline: UInt32)
        -> ClusterRule
    {
        var next = self
        next.epoch = epoch
        next.leader = member
        next.recruitment = nil
        next.switchover = nil
        // Nothing that the old leader has asked for can come to pass any more.
        next.change?.isPrepared = nil
        let reigns = chain.contributed(upTo: end).map { reign in
            history.last { $0.isSame(as: reign) } ?? Reign(epoch: reign.epoch, leader: reign.leader, begin: reign.begin)
        }
        next.timeline = self.timeline(after: reigns) ?? min(timeline, Self.timelineMax - 1) + 1
        let reign = Reign(epoch: epoch, leader: member, begin: end)
        next.history = Array((reigns + [reign]).suffix(Self.historyMax))
        return next
    }

    /// The timeline that a leader begins after these reigns: every reign has one, with the number after that of the reign before.
    /// Nil where that does not follow from this rule.
    func timeline(after reigns: [Reign]) -> UInt32? {
        guard let lastTimeline,
            let place = reigns.lastIndex(where: { reign in history.contains { $0.isSame(as: reign) } }),
            let common = history.lastIndex(where: { $0.isSame(as: reigns[place]) })
        else { return nil }
        let ofCommon = Int64(lastTimeline) - Int64(history.count - 1 - common)
        let next = ofCommon + Int64(reigns.count - place)
        return (1...Int64(Self.timelineMax)).contains(next) ? UInt32(next) : nil
    }
}
