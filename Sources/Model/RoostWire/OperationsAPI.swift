public import RoostModel

/// `GET /v1/operations/{id}`
public struct OperationBody: Sendable, Codable, Hashable {
    /// Something that was done.
    public struct Step: Sendable, Codable, Hashable {
        /// In words.
        public var name: String
        /// RFC 3339, in UTC.
        public var at: String

        /// A whole one.
        public init(name: String, at: String) {
            self.name = name
            self.at = at
        }
    }

    /// Its name.
    public var id: PlanetOperationID
    /// What kind of work it is.
    public var kind: OperationRecord.Kind
    /// The cluster's name.
    public var object: AppName
    /// How far it is.
    public var state: OperationRecord.State
    /// RFC 3339, in UTC.
    public var startedAt: String
    /// RFC 3339, in UTC; nil while it is running.
    public var endedAt: String?
    /// The newest, the oldest of them first.
    public var steps: [Step]
    /// What is in the way; nil when nothing is.
    public var obstacle: String?
    /// What came of it.
    public var result: String?
    /// The call that began it.
    public var requestID: String?

    /// A whole one.
    public init(
        id: PlanetOperationID, kind: OperationRecord.Kind, object: AppName, state: OperationRecord.State,
        startedAt: String,
        endedAt: String?, steps: [Step], obstacle: String?, result: String?, requestID: String?
    ) {
        self.id = id
        self.kind = kind
        self.object = object
        self.state = state
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.steps = steps
        self.obstacle = obstacle
        self.result = result
        self.requestID = requestID
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, object, state, steps, obstacle, result
        case startedAt = "started_at"
        case endedAt = "ended_at"
        case requestID = "request_id"
    }
}

/// `GET /v1/operations`
public struct ListOperationsBody: Sendable, Codable {
    /// The newest first.
    public var operations: [OperationBody]
    /// A whole one.
    public init(operations: [OperationBody]) { self.operations = operations }
}
