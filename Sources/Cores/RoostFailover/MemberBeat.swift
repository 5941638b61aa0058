public import RoostModel

/// What a member says to each other member directly, several times a second. It is a hint and no more: a beat that is lost,
/// late or untrue makes a failover come later, or one that was not needed; who leads is decided by the rule alone.
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

    public init(member: MemberName, epoch: Epoch, isOpen: Bool, missesLeader: Bool, hears: [MemberName]) {
        self.member = member
        self.epoch = epoch
        self.isOpen = isOpen
        self.missesLeader = missesLeader
        self.hears = hears
    }
}
