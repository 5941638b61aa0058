public import RoostModel

/// What a member must still know after a crash. Written by ``FailoverAction/save(_:)``, read once at start.
/// It lies beside the data folder on the member's volume: lost together or not at all.
public struct DurableState: Hashable, Sendable, Codable {
    /// The member never again follows, leads or acknowledges for an epoch below this one.
    public var promised: Epoch
    /// That epoch, if a member has called for it directly and the store was not seen to. A store that calls for less has not
    /// gone back then: it may never have had that recruitment.
    public var direct: Epoch?
    /// The reigns from which the member's log may contain bytes, oldest first. A reign is added *before* the first
    /// byte of it can arrive; one that begins at or after the end of the log has contributed nothing.
    public var chain: [Reign]
    /// The Postgres timeline of the last reign of `chain`: each reign before it has the number below. Nil when nobody
    /// knows (written by a program that did not keep it).
    public var timeline: UInt32?
    public var data: DataState
    /// The highest epoch in which this member's promotion (or initdb) is known to have ended.
    public var led: Epoch
    /// The last reign that this member knows to have been open to clients, with copies enough: every later leader's
    /// history has it, so a store whose rule has not has gone back. Nil when none is known (also from a program that did
    /// not keep it).
    public var opened: Reign?
    /// The last that this member knows of. Nil where the members have never changed, or its program did not keep it.
    public var membership: Membership?
    /// What the members are if the last step that this member has asked the store for was taken: nobody may have told it. Nil:
    /// none is open, as far as a program that keeps it has asked.
    public var asked: Membership?
    /// The first epoch that was promised here, ``Epoch/none`` where the cluster was made here: a volume that was made
    /// later knows nothing of what the one before it had. Nil where a program that did not keep it has promised last.
    public var keptSince: Epoch?
    /// The last vote that was cast here: one in each epoch at most.
    public var vote: Ballot?
    /// The last decision of the members that the store is not known to have.
    public var decided: MemberDecision?
    /// A rule was seen here by which more than half of the members decide: the epoch of the last failover that a person had decided by
    /// then, ``Epoch/none`` where there was none. Nothing but a later one of those takes that back: else a rule without it is older.
    public var mark: Epoch?

    public init(
        promised: Epoch = .none, chain: [Reign] = [], timeline: UInt32? = nil, data: DataState = .empty,
        led: Epoch = .none, opened: Reign? = nil, membership: Membership? = nil,
        keptSince: Epoch? = nil, direct: Epoch? = nil, asked: Membership? = nil,
        vote: Ballot? = nil, decided: MemberDecision? = nil, mark: Epoch? = nil
    ) {
        self.promised = promised
        self.chain = chain
        self.timeline = timeline
        self.data = data
        self.led = led
        self.opened = opened
        self.membership = membership
        self.keptSince = keptSince
        self.direct = direct
        self.asked = asked
        self.vote = vote
        self.decided = decided
        self.mark = mark
    }
}

/// What the data folder is worth. A copy is made in a folder of its own beside it, and is the data only once it is
/// whole: what was there counts until then.
public enum DataState: String, Hashable, Sendable, Codable {
    /// Nothing there that counts (an initdb that did not end leaves this too). Becomes `usable` or `exchanging`.
    case empty
    /// Removed before a copy was there, because the volume had no room for both and the leader gave leave. Becomes
    /// `exchanging`.
    case cloning
    /// Being taken back to the leader's history, or taken back but not yet consistent. After a crash: copy the leader's.
    /// Becomes `usable` or `exchanging`.
    case rewinding
    /// A prefix of `chain`. Becomes `exchanging`, `cloning`, `rewinding` or `spoiled`.
    case usable
    /// There, but proven to be no database any more. Counts for nothing; still kept until a copy is whole, for whoever
    /// wants to save something from it. Becomes `exchanging` or `cloning`.
    case spoiled
    /// A whole copy lies beside it and takes its place, in steps that are repeated after a crash until they are done.
    /// `chain` is the copy's already. Becomes `usable`.
    case exchanging
}

extension DataState {
    /// For others.
    var reported: MemberData {
        switch self {
        case .empty, .cloning: .absent
        case .rewinding: .unfinished
        case .usable: .whole
        case .spoiled: .spoiled
        case .exchanging: .replaced
        }
    }
}
