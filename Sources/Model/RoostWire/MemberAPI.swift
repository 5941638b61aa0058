public import RoostModel

// What a member of a cluster may ask of its host through the machine's own socket, `/.roost/api`. The host knows by
// the socket which machine asks, and shows it its own cluster and nothing else.
//
//   GET  /v1/cluster            ClusterView, read from the store now; 503 when the store does not answer
//   GET  /v1/cluster/watch      a line of JSON (ClusterView) for every change, the present one first
//   PUT  /v1/cluster/rule       ChangeRuleRequest  -> ChangeOutcome
//   PUT  /v1/cluster/heartbeat  HeartbeatRequest   -> ChangeOutcome
//   PUT  /v1/cluster/report     MemberReport       -> ChangeOutcome
//   PUT  /v1/cluster/gate       GateRequest        -> OKBody: open or close the service port on this host
//
// 503: the store did not carry it out. 504: nobody knows whether it did.

/// All that one cluster is at one revision of the store.
public struct ClusterView: Hashable, Sendable, Codable {
    /// The member that asks.
    public var member: MemberName
    public var revision: Int64
    public var spec: ClusterSpec
    /// Nil until the first member has initialised the cluster.
    public var rule: ClusterRule?
    /// The store's modification revision of `rule`; 0 when there is none.
    public var ruleRevision: Int64
    public var heartbeat: Heartbeat?
    public var placements: [MemberPlacement]
    public var reports: [MemberReport]
    public var secrets: ClusterSecrets

    public init(
        member: MemberName, revision: Int64, spec: ClusterSpec, rule: ClusterRule?, ruleRevision: Int64,
        heartbeat: Heartbeat?, placements: [MemberPlacement], reports: [MemberReport], secrets: ClusterSecrets
    ) {
        self.member = member
        self.revision = revision
        self.spec = spec
        self.rule = rule
        self.ruleRevision = ruleRevision
        self.heartbeat = heartbeat
        self.placements = placements
        self.reports = reports
        self.secrets = secrets
    }

    enum CodingKeys: String, CodingKey {
        case member, revision, spec, rule, heartbeat, placements, reports, secrets
        case ruleRevision = "rule_revision"
    }
}

public struct ChangeRuleRequest: Sendable, Codable {
    public var rule: ClusterRule
    /// The rule this one replaces; 0: there is none yet.
    public var expectedRevision: Int64

    public init(rule: ClusterRule, expectedRevision: Int64) {
        self.rule = rule
        self.expectedRevision = expectedRevision
    }

    enum CodingKeys: String, CodingKey {
        case rule
        case expectedRevision = "expected_revision"
    }
}

public struct HeartbeatRequest: Sendable, Codable {
    public var heartbeat: Heartbeat
    /// Refused unless the rule still has this revision.
    public var ruleRevision: Int64

    public init(heartbeat: Heartbeat, ruleRevision: Int64) {
        self.heartbeat = heartbeat
        self.ruleRevision = ruleRevision
    }

    enum CodingKeys: String, CodingKey {
        case heartbeat
        case ruleRevision = "rule_revision"
    }
}

public struct ChangeOutcome: Sendable, Codable {
    /// False: the compare failed, somebody else changed it first.
    public var isApplied: Bool
    public var revision: Int64

    public init(isApplied: Bool, revision: Int64) {
        self.isApplied = isApplied
        self.revision = revision
    }

    enum CodingKeys: String, CodingKey {
        case isApplied = "applied"
        case revision
    }
}

public struct GateRequest: Sendable, Codable {
    public var isOpen: Bool
    public init(isOpen: Bool) { self.isOpen = isOpen }

    enum CodingKeys: String, CodingKey { case isOpen = "open" }
}
