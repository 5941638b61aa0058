public import RoostModel
import RoostRecords

extension Planet {
    /// The records of one Postgres cluster, as far as this host follows them.
    public struct ClusterRecords: Hashable, Sendable {
        /// Of the store, up to which this host knows all of the cluster's records but its secrets.
        public internal(set) var revision: Int64 = 0
        public internal(set) var spec: ClusterSpec?
        public internal(set) var specRevision: Int64 = 0
        /// The revision of the spec that the store has, also of one that this program cannot read. 0: there is none.
        public internal(set) var specStored: Int64 = 0
        public internal(set) var rule: ClusterRule?
        public internal(set) var ruleRevision: Int64 = 0
        public internal(set) var heartbeat: Heartbeat?
        public internal(set) var obstacle: ClusterObstacle?
        public internal(set) var placements: [MemberName: MemberPlacement] = [:]
        public internal(set) var reports: [MemberName: MemberReport] = [:]
        /// Secrets are beside the other records, or, while a host is there that finds them nowhere else, among them.
        var secretsApart: Written<ClusterSecrets>?
        var secretsAmong: Written<ClusterSecrets>?
        var identityApart: Written<ClusterIdentity>?
        /// How often the leader was seen to say that it lets clients in, since this was listed.
        public internal(set) var openings = Seen()

        public init() {}

        /// What members share, where this host follows it. While they are being moved they are in both places: what was
        /// written last counts. A copy from disk has no passwords and is none: a member must not be made with it.
        public var secrets: ClusterSecrets? {
            Written.last(secretsApart.flatMap(\.whole), secretsAmong.flatMap(\.whole))?.record
        }

        /// What edges show to clients.
        public var identity: ClusterIdentity? {
            Written.last(identityApart, secretsAmong.map { Written(record: $0.record.identity, at: $0.at) })?.record
                ?? secretsApart?.record.identity
        }

        var isEmpty: Bool { self == Self(revision: revision) }

        private init(revision: Int64) { self.revision = revision }
    }

    /// Of something that passes: it is no part of what the records say, so two that say the same are the same.
    public struct Seen: Hashable, Sendable {
        public internal(set) var count: UInt64 = 0

        public static func == (left: Self, right: Self) -> Bool { true }
        public func hash(into hasher: inout Hasher) {}
    }

    /// A record, and the revision that wrote it.
    struct Written<Record: Hashable & Sendable>: Hashable, Sendable {
        var record: Record
        var at: Int64

        static func last(_ one: Self?, _ other: Self?) -> Self? {
            guard let one, let other else { return one ?? other }
            return one.at >= other.at ? one : other
        }
    }
}

extension Planet.Written where Record == ClusterSecrets {
    /// Nil without passwords.
    fileprivate var whole: Self? {
        record.ownerPassword.isEmpty || record.replicationPassword.isEmpty ? nil : self
    }
}

extension Planet.ClusterRecords {
    mutating func put(_ part: ClusterPart, of cluster: AppName, _ bytes: [UInt8], revision: Int64) throws {
        switch part {
        case .spec:
            let record = try RecordCodec.read(ClusterSpec.self, from: bytes)
            try RecordBounds.check(record, of: cluster)
            spec = record
            specRevision = revision
            specStored = revision
        case .rule:
            let record = try RecordCodec.read(ClusterRule.self, from: bytes)
            try RecordBounds.check(record)
            rule = record
            ruleRevision = revision
        case .heartbeat:
            let record = try RecordCodec.read(Heartbeat.self, from: bytes)
            try RecordBounds.check(record)
            heartbeat = record
        case .secrets:
            secretsAmong = .init(record: try RecordCodec.read(ClusterSecrets.self, from: bytes), at: revision)
        case .obstacle: obstacle = try RecordCodec.read(ClusterObstacle.self, from: bytes)
        case .placement(let member):
            let record = try RecordCodec.read(MemberPlacement.self, from: bytes)
            try RecordBounds.check(record, of: member)
            placements[member] = record
        case .report(let member):
            let record = try RecordCodec.read(MemberReport.self, from: bytes)
            try RecordBounds.check(record, of: member)
            reports[member] = record
        }
    }

    /// What was last readable.
    mutating func keep(_ part: ClusterPart, of former: Self) {
        switch part {
        case .spec:
            spec = former.spec
            specRevision = former.specRevision
            specStored = former.specStored
        case .rule:
            rule = former.rule
            ruleRevision = former.ruleRevision
        case .heartbeat: heartbeat = former.heartbeat
        case .secrets: secretsAmong = former.secretsAmong
        case .obstacle: obstacle = former.obstacle
        case .placement(let member): placements[member] = former.placements[member]
        case .report(let member): reports[member] = former.reports[member]
        }
    }

    mutating func delete(_ part: ClusterPart) { keep(part, of: Self()) }

    /// These, with the spec that could be read last, where the present one is of a newer program.
    public func withReadableSpec(of former: Self?) -> Self {
        guard spec == nil, specStored != 0, let former, former.spec != nil else { return self }
        var records = self
        records.spec = former.spec
        records.specRevision = former.specRevision
        return records
    }

    /// Without what comes with the cluster's own part of the planet.
    var secretsOnly: Self {
        var rest = Self()
        (rest.secretsApart, rest.identityApart) = (secretsApart, identityApart)
        return rest
    }

    /// Which records there are.
    var parts: Set<ClusterPart> {
        var parts = Set(placements.keys.map(ClusterPart.placement)).union(reports.keys.map(ClusterPart.report))
        if spec != nil { parts.insert(.spec) }
        if rule != nil { parts.insert(.rule) }
        if heartbeat != nil { parts.insert(.heartbeat) }
        if secretsAmong != nil { parts.insert(.secrets) }
        if obstacle != nil { parts.insert(.obstacle) }
        return parts
    }
}
