public import RoostModel

// A failover that a person decides, since too few members are left for members to decide one.

/// `GET /v1/postgres/{name}/failover`, with `?to=MEMBER` for what comes of naming that one: what may be lost. Nothing is
/// changed by asking.
public struct FailoverBody: Sendable, Codable, Hashable {
    /// Of the rule as it is; whoever has read this says it to change that rule and no other.
    public var revision: Int64
    /// As the store has it.
    public var epoch: Epoch
    /// As the store has it.
    public var leader: MemberName
    /// For how many milliseconds nothing new has come of the leader's lease, as seen by a host that listens: at least so long. Nil:
    /// nobody has counted.
    public var leaderSilentMilliseconds: Int64?
    /// All members, and those that were given up before; from the one that would lose least to the one that would lose most, those
    /// that cannot be named last.
    public var members: [FailoverMemberBody]
    /// Nil when it cannot be decided now, or need not be.
    public var proposal: FailoverProposal?
    /// Why there is no proposal.
    public var obstacle: String?

    /// Put together by the asked host.
    public init(
        revision: Int64, epoch: Epoch, leader: MemberName, leaderSilentMilliseconds: Int64?,
        members: [FailoverMemberBody], proposal: FailoverProposal?, obstacle: String?
    ) {
        self.revision = revision
        self.epoch = epoch
        self.leader = leader
        self.leaderSilentMilliseconds = leaderSilentMilliseconds
        self.members = members
        self.proposal = proposal
        self.obstacle = obstacle
    }

    enum CodingKeys: String, CodingKey {
        case revision, epoch, leader, members, proposal, obstacle
        case leaderSilentMilliseconds = "leader_silent_ms"
    }
}

/// One member, as it counts in a failover that a person decides.
public struct FailoverMemberBody: Sendable, Codable, Hashable {
    /// In the rule, or given up before.
    public var name: MemberName
    /// Where it lives; nil: it has no place.
    public var host: HostName?
    /// A report of its own was seen to come in the last seconds.
    public var isHeard: Bool
    /// For how many milliseconds nothing new has come of it, at least. Nil: nobody has counted.
    public var silentMilliseconds: Int64?
    /// How far its log goes; of one that is not heard, how far it went when it last said so, at least.
    public var logEnd: PositionBody?
    /// When the last commit was made that it has, by the clock of the leader that made it. RFC 3339, in UTC; nil: not known.
    public var lastCommit: String?
    /// Why it cannot be named; nil: it can.
    public var obstacle: String?

    /// From its report.
    public init(
        name: MemberName, host: HostName?, isHeard: Bool, silentMilliseconds: Int64?, logEnd: PositionBody?,
        lastCommit: String?, obstacle: String?
    ) {
        self.name = name
        self.host = host
        self.isHeard = isHeard
        self.silentMilliseconds = silentMilliseconds
        self.logEnd = logEnd
        self.lastCommit = lastCommit
        self.obstacle = obstacle
    }

    enum CodingKeys: String, CodingKey {
        case name, host, obstacle
        case isHeard = "heard"
        case silentMilliseconds = "silent_ms"
        case logEnd = "log_end"
        case lastCommit = "last_commit"
    }
}

/// What is to be decided.
public struct FailoverProposal: Sendable, Codable, Hashable {
    /// Who is to lead.
    public var member: MemberName
    /// How far its log goes: commits that were confirmed after that are gone.
    public var logEnd: PositionBody
    /// All that are left are called to this epoch, and nobody else can lead in it.
    public var calls: Epoch
    /// They stay members.
    public var keeps: [MemberName]
    /// No members any more: whatever they have stays on their volumes, and counts for nothing.
    public var givesUp: [MemberName]
    /// So many standbys confirm each commit afterwards.
    public var confirmations: Int
    /// Whoever has reported the furthest of the others, where that is further; nil: nobody is known to have more.
    public var furthest: FailoverLoss?
    /// It leads now, renews its lease, and has all that was confirmed. Nil: of nobody else is that known.
    public var losesNothing: Bool?

    /// As what is heard says.
    public init(
        member: MemberName, logEnd: PositionBody, calls: Epoch, keeps: [MemberName], givesUp: [MemberName],
        confirmations: Int, furthest: FailoverLoss?, losesNothing: Bool? = nil
    ) {
        self.losesNothing = losesNothing
        self.member = member
        self.logEnd = logEnd
        self.calls = calls
        self.keeps = keeps
        self.givesUp = givesUp
        self.confirmations = confirmations
        self.furthest = furthest
    }

    enum CodingKeys: String, CodingKey {
        case member, calls, keeps, confirmations, furthest
        case logEnd = "log_end"
        case givesUp = "gives_up"
        case losesNothing = "loses_nothing"
    }
}

/// What is known to be missing, at least.
public struct FailoverLoss: Sendable, Codable, Hashable {
    /// Who has reported it.
    public var member: MemberName
    /// So far.
    public var logEnd: PositionBody
    /// Between the two ends; 0 where they are of different epochs, and nobody knows how much is missing.
    public var bytes: UInt64

    /// From its report.
    public init(member: MemberName, logEnd: PositionBody, bytes: UInt64) {
        self.member = member
        self.logEnd = logEnd
        self.bytes = bytes
    }

    enum CodingKeys: String, CodingKey {
        case member, bytes
        case logEnd = "log_end"
    }
}

/// `POST /v1/postgres/{name}/failover`
public struct FailoverWish: Sendable, Codable {
    /// That of the ``FailoverBody`` that was read.
    public var revision: Int64
    /// What was proposed there, and nothing else, is decided.
    public var proposal: FailoverProposal
    /// Has to be true: whoever asks knows that commits may be lost.
    public var acceptsDataLoss: Bool
    /// Who asks, for whoever looks at it later; at most ``ForcedFailover/wordsMax`` bytes.
    public var by: String?

    /// Refused when the rule is another by now, or something else follows by now.
    public init(revision: Int64, proposal: FailoverProposal, acceptsDataLoss: Bool, by: String?) {
        self.revision = revision
        self.proposal = proposal
        self.acceptsDataLoss = acceptsDataLoss
        self.by = by
    }

    enum CodingKeys: String, CodingKey {
        case revision, proposal, by
        case acceptsDataLoss = "accept_data_loss"
    }
}

/// The answer to whoever decides it: ``ClusterBody/forced`` shows it under this id.
public struct FailoverAnswer: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// Also the operation's.
    public var id: String

    /// It is in the rule now.
    public init(id: String) { self.id = id }
}

/// The last failover that a person has decided.
public struct ForcedState: Sendable, Codable, Hashable {
    /// Its operation's.
    public var id: String
    /// Who was named.
    public var member: MemberName
    /// For this epoch.
    public var epoch: Epoch
    /// When. RFC 3339, in UTC.
    public var at: String
    /// Who asked, as it said itself.
    public var by: String?
    /// Who led before.
    public var formerLeader: MemberName
    /// In which epoch.
    public var formerEpoch: Epoch
    /// How far the named one's log was known to go then.
    public var logEnd: PositionBody
    /// How far another's was, where that was further: what lies between may be lost.
    public var furthest: PositionBody?
    /// They were given up, now or before, and what they have is still on their volumes.
    public var kept: [MemberName]
    /// All that were given up, now or before.
    public var givenUp: [MemberName]

    /// As the rule has it.
    ///
    /// - Parameters:
    ///   - kept: of those that were given up.
    ///   - at: as text.
    public init(_ forced: ForcedFailover, at: String, kept: [MemberName]) {
        id = forced.id
        member = forced.member
        epoch = forced.epoch
        self.at = at
        by = forced.by
        formerLeader = forced.formerLeader
        formerEpoch = forced.formerEpoch
        logEnd = PositionBody(forced.position)
        furthest = forced.furthest.map(PositionBody.init)
        self.kept = kept
        givenUp = forced.givenUp
    }

    enum CodingKeys: String, CodingKey {
        case id, member, epoch, at, by, furthest, kept
        case formerLeader = "former_leader"
        case formerEpoch = "former_epoch"
        case logEnd = "log_end"
        case givenUp = "given_up"
    }
}
