public import RoostModel
import RoostRecords

extension Planet {
    /// The records of one Postgres cluster.
    public struct ClusterRecords: Hashable, Sendable {
        public internal(set) var spec: ClusterSpec?
        public internal(set) var specRevision: Int64 = 0
        public internal(set) var rule: ClusterRule?
        public internal(set) var ruleRevision: Int64 = 0
        public internal(set) var heartbeat: Heartbeat?
        public internal(set) var secrets: ClusterSecrets?
        public internal(set) var obstacle: ClusterObstacle?
        public internal(set) var placements: [MemberName: MemberPlacement] = [:]
        public internal(set) var reports: [MemberName: MemberReport] = [:]

        public init() {}

        var isEmpty: Bool {
            spec == nil && rule == nil && heartbeat == nil && secrets == nil && obstacle == nil && placements.isEmpty
                && reports.isEmpty
        }
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
        case .rule:
            let record = try RecordCodec.read(ClusterRule.self, from: bytes)
            try RecordBounds.check(record)
            rule = record
            ruleRevision = revision
        case .heartbeat: heartbeat = try RecordCodec.read(Heartbeat.self, from: bytes)
        case .secrets: secrets = try RecordCodec.read(ClusterSecrets.self, from: bytes)
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
        case .rule:
            rule = former.rule
            ruleRevision = former.ruleRevision
        case .heartbeat: heartbeat = former.heartbeat
        case .secrets: secrets = former.secrets
        case .obstacle: obstacle = former.obstacle
        case .placement(let member): placements[member] = former.placements[member]
        case .report(let member): reports[member] = former.reports[member]
        }
    }

    mutating func delete(_ part: ClusterPart) { keep(part, of: Self()) }
}
