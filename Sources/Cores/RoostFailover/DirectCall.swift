public import RoostModel

/// A recruitment on its way from member to member, beside the one that is written to the store. It binds nobody: whoever hears
/// it and misses the leader too leaves it, promises and answers; whoever does not waits for the store's.
public struct DirectCall: Hashable, Sendable {
    /// What members are to promise: one above the rule's.
    public var epoch: Epoch
    /// Of the rule that it is called under: whoever has not seen that one, or a later one, takes no part.
    public var revision: Int64
    /// Of the rule that has the recruitment and has changed in nothing else, once the store has said so.
    public var stored: Int64?

    /// The sender of the beat calls.
    public init(epoch: Epoch, revision: Int64, stored: Int64? = nil) {
        self.epoch = epoch
        self.revision = revision
        self.stored = stored
    }
}

/// What a report says in answer to a recruitment, in few bytes. It is said with each beat for as long as it is true, so the last
/// beat of a member has all that there is to know. A log that is not in the rule's history is answered for through the store
/// alone, and so is the log of the leader that is left: whether that has lost something is seen by what others have.
public struct DirectAnswer: Hashable, Sendable {
    /// What the sender has promised, on disk.
    public var epoch: Epoch
    /// Its log comes from so many of the first reigns of the rule's history…
    public var reigns: Int
    /// …which these are (``/Swift/Array/digest``).
    public var digest: UInt64
    /// Where it ends, behind the fence.
    public var end: LSN
    public var replayed: LSN
    /// Of the log's last byte.
    public var timeline: UInt32
    /// As ``MemberReport/cannotLead``.
    public var cannotLead: Bool

    public init(
        epoch: Epoch, reigns: Int, digest: UInt64, end: LSN, replayed: LSN, timeline: UInt32, cannotLead: Bool
    ) {
        self.epoch = epoch
        self.reigns = reigns
        self.digest = digest
        self.end = end
        self.replayed = replayed
        self.timeline = timeline
        self.cannotLead = cannotLead
    }

    /// Nil when the log is not of this history, or has lost something: that takes more words.
    init?(_ report: MemberReport, of history: [Reign]) {
        guard let chain = report.chain, let position = report.position, !chain.isEmpty, chain.count <= history.count,
            zip(chain, history).allSatisfy({ $0.isSame(as: $1) }), chain.position(at: position.end) == position,
            chain.contributed(upTo: position.end).count == chain.count
        else { return nil }
        self.init(
            epoch: report.promised, reigns: chain.count, digest: chain.digest, end: position.end,
            replayed: report.replayed, timeline: report.timeline, cannotLead: report.cannotLead == true)
    }

    /// What the store would show; nil when the receiver's history is another.
    func report(of member: MemberName, by history: [Reign]) -> MemberReport? {
        // What a host would not take as a report is none from another member either: no rule could be made of it.
        guard reigns > 0, reigns <= history.count, end < .limit, replayed <= end, timeline < ClusterRule.timelineMax
        else { return nil }
        let chain = Array(history.prefix(reigns))
        guard chain.digest == digest, chain.contributed(upTo: end).count == chain.count,
            let position = chain.position(at: end)
        else { return nil }
        return MemberReport(
            member: member, role: .standby, state: .waiting, promised: epoch, position: position, timeline: timeline,
            replayed: replayed, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, chain: chain,
            cannotLead: cannotLead ? true : nil)
    }
}

extension [Reign] {
    /// FNV-1a of 64 bits over what each reign is: two histories of one cluster that have other reigns have another one. It is
    /// no seal; what it is sent in has one.
    public var digest: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func take(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        func take(_ number: UInt64) { for shift in 0..<8 { take(UInt8(truncatingIfNeeded: number >> (shift * 8))) } }
        for reign in self {
            take(reign.epoch.number)
            take(reign.begin.offset)
            take(UInt64(reign.leader.text.utf8.count))
            for byte in reign.leader.text.utf8 { take(byte) }
        }
        return hash
    }
}
