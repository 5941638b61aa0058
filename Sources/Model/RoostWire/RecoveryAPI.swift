public import RoostModel

/// `GET /v1/postgres/{name}/recovery`: what members know of a cluster whose store has gone back, and the rule that follows
/// from it. Nothing is changed by asking.
public struct RecoveryBody: Sendable, Codable, Hashable {
    /// Of the rule as it is; whoever has read this says it to change that rule and no other.
    public var revision: Int64
    /// As the store has it.
    public var epoch: Epoch
    /// As the store has it.
    public var leader: MemberName
    /// In the rule's order; then those that came since, as one of them says.
    public var members: [KnowledgeBody]
    /// Nil when nothing can be done, or nothing need be.
    public var proposal: RecoveryProposal?
    /// Why there is no proposal.
    public var obstacle: String?
    /// So many of the last members must say what they know: more than half of them. Nil from a host of a version before.
    public var needed: Int?

    /// Put together by the asked host.
    public init(
        revision: Int64, epoch: Epoch, leader: MemberName, members: [KnowledgeBody], proposal: RecoveryProposal?,
        obstacle: String?, needed: Int? = nil
    ) {
        self.revision = revision
        self.epoch = epoch
        self.leader = leader
        self.members = members
        self.proposal = proposal
        self.obstacle = obstacle
        self.needed = needed
    }

    /// A member has proof that the store went back.
    public var isNeeded: Bool { members.contains(where: \.hasProof) }

    /// So many members are heard that one of them would know, had the store gone back: that nobody says so means something.
    public var isHeardEnough: Bool {
        members.count(where: \.isHeard) >= needed ?? (members.count / 2 + 1)
    }

    /// Why nobody can say that nothing is missing; nil when it is needed, or known not to be.
    public var doubt: String? {
        guard !isNeeded, !isHeardEnough else { return nil }
        let heard = members.count(where: \.isHeard)
        return
            "\(heard) of \(members.count) members \(heard == 1 ? "is" : "are") heard, too few to say whether the store has "
            + "gone back: ask again in a quarter of a minute, and see who does not run"
    }
}

/// What the rule is to become.
public struct RecoveryProposal: Sendable, Codable, Hashable {
    /// The last leader of the history that comes into force.
    public var last: ReignBody
    /// Whose knowledge it is; nil: the store has that history, and lacks only what members were called to.
    public var source: MemberName?
    /// All members are called to this epoch, and decide by their logs who leads it.
    public var calls: Epoch
    /// They know, or have led, what this history does not have, and go on doing nothing.
    public var strangers: [MemberName]

    /// As the members' knowledge says.
    public init(last: ReignBody, source: MemberName?, calls: Epoch, strangers: [MemberName]) {
        self.last = last
        self.source = source
        self.calls = calls
        self.strangers = strangers
    }
}

/// What one member knows.
public struct KnowledgeBody: Sendable, Codable, Hashable {
    /// In the rule, or of a member that came since.
    public var name: MemberName
    /// A report of its own was seen to come in the last seconds.
    public var isHeard: Bool
    /// It has proof that the store went back.
    public var hasProof: Bool
    /// The highest epoch that it has promised; nil when it has said nothing.
    public var promised: Epoch?
    /// The last reign that it knows to have been open; nil as ``last``, or when it knows none.
    public var opened: ReignBody?
    /// The last reign of the history that it took from the store; nil for one that has no proof that the store went back, and
    /// so knows no more than the store, and for one that has proof and no history: it has promised more, and had no data.
    public var last: ReignBody?
    /// Its own log goes at least up to here; nil as ``last``, or when that was not read.
    public var position: Position?
    /// The same with its end as Postgres writes it; nil from a host of a version before, too.
    public var logEnd: PositionBody?
    /// In its words: its proof, or what else it has to say.
    public var detail: String?
    /// Why its word counts for nothing; nil where it counts, or from a host of a version before.
    public var mute: String?

    /// From its report.
    public init(
        name: MemberName, isHeard: Bool, hasProof: Bool, promised: Epoch?, opened: ReignBody?, last: ReignBody?,
        position: Position?, detail: String?, mute: String? = nil
    ) {
        self.name = name
        self.isHeard = isHeard
        self.hasProof = hasProof
        self.promised = promised
        self.opened = opened
        self.last = last
        self.position = position
        logEnd = position.map(PositionBody.init)
        self.detail = detail
        self.mute = mute
    }

    enum CodingKeys: String, CodingKey {
        case name, promised, opened, last, position, detail, mute
        case logEnd = "log_end"
        case isHeard = "heard"
        case hasProof = "proof"
    }
}

/// How far a log goes; written as the reigns beside it are, so that a script compares like with like.
public struct PositionBody: Sendable, Codable, Hashable, CustomStringConvertible {
    /// The epoch of the leader that wrote the last byte.
    public var epoch: Epoch
    /// Behind the last byte, as Postgres writes it: `0/3000148`.
    public var end: String

    /// As the member says.
    public init(_ position: Position) {
        epoch = position.epoch
        end = "\(position.end)"
    }

    public var description: String { "\(end) of epoch \(epoch)" }
}

/// One leader's part of a cluster's log.
public struct ReignBody: Sendable, Codable, Hashable {
    /// One leader has each.
    public var epoch: Epoch
    /// Who led.
    public var leader: MemberName
    /// Where its part of the log begins, as Postgres writes it: `0/3000148`.
    public var begin: String

    /// As the rule has it.
    public init(_ reign: Reign) {
        epoch = reign.epoch
        leader = reign.leader
        begin = "\(reign.begin)"
    }
}

/// `POST /v1/postgres/{name}/recovery`
public struct RecoverBody: Sendable, Codable {
    /// That of the ``RecoveryBody`` that was read.
    public var revision: Int64
    /// What was proposed there, and nothing else, is done.
    public var proposal: RecoveryProposal

    /// Refused when the rule is another by now, or something else follows by now from what members say.
    public init(revision: Int64, proposal: RecoveryProposal) {
        self.revision = revision
        self.proposal = proposal
    }
}

/// `GET /v1/internal/postgres/{name}/voices`: who of a cluster was seen to speak a moment ago, by a host that hears it. What a
/// host found in the store when it began to hear the cluster, or after the store was away, is no sign of life: only what has
/// come since.
public struct ClusterVoices: Sendable, Codable, Hashable {
    /// A report of theirs came in the last seconds.
    public var members: Set<MemberName>
    /// The leader of the rule has renewed its lease in the last seconds.
    public var isLeaderRenewing: Bool
    /// They have said how far they are since nobody can have let clients in any more by the store's rule. Nil from a host of a
    /// version before: nobody has.
    public var settled: Set<MemberName>?
    /// What is left of the terms of the rule's wishes, counted by the clock of the host that hears it. Nil where nobody has
    /// counted, and from a host of a version before: only clocks that somebody sets can say then.
    public var terms: [TermLeft]?
    /// Nothing new has come of theirs for so long that what they said last is not said any more; or nobody could tell, for their
    /// reports have no number. Nil from a host of a version before: it is not known.
    public var silent: Set<MemberName>?
    /// For how long nothing new has come of whom, at least. Nil from a host of a version before: nobody has counted.
    public var quiet: [MemberQuiet]?
    /// The same for the leader's lease, in milliseconds. Nil as ``quiet``, and where there is no rule.
    public var leaderQuietMilliseconds: Int64?
    /// The leader's heartbeat that this was counted from; nil where it has sent none, and as ``quiet``.
    public var leaderBeat: UInt64?

    /// Nobody, unless it is said; and whoever speaks has done so long enough, unless it is said who.
    public init(
        members: Set<MemberName> = [], isLeaderRenewing: Bool = false, settled: Set<MemberName>? = nil,
        terms: [TermLeft]? = nil, silent: Set<MemberName>? = nil
    ) {
        self.terms = terms
        self.silent = silent
        self.members = members
        self.isLeaderRenewing = isLeaderRenewing
        self.settled = settled ?? members
    }

    enum CodingKeys: String, CodingKey {
        case members, settled, terms, silent, quiet
        case isLeaderRenewing = "leader_renews"
        case leaderQuietMilliseconds = "leader_quiet_ms"
        case leaderBeat = "leader_beat"
    }
}

/// For how long nothing new has come of a member, as a host counts that listens.
public struct MemberQuiet: Sendable, Codable, Hashable {
    /// Whose reports.
    public var member: MemberName
    /// At least so many.
    public var milliseconds: Int64

    /// Counted by the clock of the host that listens.
    public init(member: MemberName, milliseconds: Int64) {
        self.member = member
        self.milliseconds = milliseconds
    }

    enum CodingKeys: String, CodingKey {
        case member
        case milliseconds = "quiet_ms"
    }
}

/// A term that a rule has, and what is left of it by the clock of who heard it come.
public struct TermLeft: Sendable, Codable, Hashable {
    /// As the rule has it.
    public var term: WishTerm
    /// Not negative, and at most the term's whole length; what another host says is held to that where it is used.
    public var milliseconds: Int64

    /// - Parameter left: cut to whole milliseconds.
    public init(term: WishTerm, left: Duration) {
        self.term = term
        milliseconds = left.milliseconds
    }

    enum CodingKeys: String, CodingKey {
        case term
        case milliseconds = "left_ms"
    }
}
