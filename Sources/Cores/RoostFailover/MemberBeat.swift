public import RoostModel

/// What a member says to each other member directly, several times a second. Whom it hears and misses is a hint and no more: one
/// that is lost, late or untrue makes a failover come later, or one that was not needed. What it promises in answer to a
/// recruitment counts as what it says through the store, and where members vote, so do its vote and what it tells of a decision.
public struct MemberBeat: Hashable, Sendable {
    public var member: MemberName
    /// What it has promised. It says nothing about another epoch.
    public var epoch: Epoch
    /// It leads this epoch and lets clients in.
    public var isOpen: Bool
    /// It heard this epoch's leader well, and hears it no more.
    public var missesLeader: Bool
    /// The members that it hears.
    public var hears: [MemberName]
    /// It calls the others to a new epoch.
    public var call: DirectCall?
    /// It has been called, and answers.
    public var answer: DirectAnswer?
    /// How often the members had changed, as it knows them: as ``ClusterRule/changes``. Who knows more does not vote for it.
    public var changes: UInt64?
    /// The epoch of the last failover that a person has decided. Who knows of none so late may be no member any more.
    public var forced: Epoch?
    /// It asks for votes.
    public var plea: Plea?
    /// It has voted, on disk.
    public var vote: Ballot?
    /// The last decision that it knows of.
    public var told: ToldDecision?

    public init(
        member: MemberName, epoch: Epoch, isOpen: Bool, missesLeader: Bool, hears: [MemberName],
        call: DirectCall? = nil, answer: DirectAnswer? = nil, changes: UInt64? = nil, forced: Epoch? = nil,
        plea: Plea? = nil, vote: Ballot? = nil, told: ToldDecision? = nil
    ) {
        self.member = member
        self.epoch = epoch
        self.isOpen = isOpen
        self.missesLeader = missesLeader
        self.hears = hears
        self.call = call
        self.answer = answer
        self.changes = changes
        self.forced = forced
        self.plea = plea
        self.vote = vote
        self.told = told
    }
}
