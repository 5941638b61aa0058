public import RoostModel

// What an operator asks of a cluster that runs.

/// `PUT /v1/postgres/{name}/pause`
public struct PauseBody: Sendable, Codable {
    /// From now on; nil: an hour. At most a day.
    public var seconds: Int64?
    /// Nil is as good as a request without a body.
    public init(seconds: Int64?) { self.seconds = seconds }
}

/// While it lasts, nobody but a person makes another member the leader.
public struct PauseState: Sendable, Codable, Hashable {
    /// When it is over by itself. RFC 3339, in UTC.
    public var endsAt: String

    /// As the rule has it.
    public init(endsAt: String) { self.endsAt = endsAt }

    enum CodingKeys: String, CodingKey { case endsAt = "ends_at" }
}

/// What `DELETE /v1/postgres/{name}/pause` found.
public struct ResumedState: Sendable, Codable, Hashable {
    /// A pause was in force, and this call has ended it. False: there was none, or it was over by itself.
    public var wasPaused: Bool
    /// When that pause would have been over by itself, or was. RFC 3339, in UTC; nil: there was none.
    public var endsAt: String?

    /// As the rule had it.
    public init(wasPaused: Bool, endsAt: String?) {
        self.wasPaused = wasPaused
        self.endsAt = endsAt
    }

    enum CodingKeys: String, CodingKey {
        case wasPaused = "was_paused"
        case endsAt = "ends_at"
    }
}

/// `POST /v1/postgres/{name}/restart`
public struct RestartBody: Sendable, Codable {
    /// A member's name. Nil: all, one after the other, the leader last.
    public var member: String?
    /// Whether a leader hands over before its Postgres is started anew, if there is anybody to hand over to; nil: yes.
    public var handsOver: Bool?
    /// When they are over, no member begins any more; nil: ten minutes. At most a day.
    public var seconds: Int64?

    /// Nil for each is as good as a request without a body.
    public init(member: String? = nil, handsOver: Bool? = nil, seconds: Int64? = nil) {
        self.member = member
        self.handsOver = handsOver
        self.seconds = seconds
    }

    enum CodingKeys: String, CodingKey {
        case member, seconds
        case handsOver = "hand_over"
    }
}

/// The answer to `POST /v1/postgres/{name}/restart`: ``ClusterBody/restart`` says under this id how far it is.
public struct RestartAnswer: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// Also the operation's.
    public var id: String

    /// The wish is in the rule now.
    public init(id: String) { self.id = id }
}

/// A request that members be started anew.
public struct RestartState: Sendable, Codable, Hashable {
    /// As ``RestartAnswer`` gave it to whoever asked.
    public var id: String
    /// Whose turn is still to come.
    public var left: [MemberName]
    /// In the order in which they were started anew.
    public var done: [MemberName]
    /// Why nothing more is done; nil while it goes on, and when nothing is left.
    public var refusal: String?

    /// As the rule has it.
    public init(id: String, left: [MemberName], done: [MemberName], refusal: String?) {
        self.id = id
        self.left = left
        self.done = done
        self.refusal = refusal
    }
}
