/// Names an operation: 26 characters of Crockford's base 32 that sort by age.
public typealias PlanetOperationID = ID<OperationIDKind>

/// What makes a text an operation's id.
public enum OperationIDKind: IDKind {
    /// For messages.
    public static let noun = "operation id"
    /// For messages.
    public static let rule = "an operation id has 26 digits and capital letters"
    /// In bytes.
    public static let lengthMax = 26
    /// Says whether the text is one.
    public static func accepts(_ text: String) -> Bool {
        text.utf8.count == 26
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
            }
    }
}

/// Work that takes longer than a call, from the call that began it to its end, whichever hosts come and go meanwhile.
///
/// It is written in the transaction that begins the work, and ended by whoever has the duty, who sees in the planet what
/// has become of it. So it ends also when the host that took the call, or the one that worked, never comes back.
public struct OperationRecord: Hashable, Sendable, Codable {
    /// What kind of work it is.
    public enum Kind: OpenEnum {
        /// From the wish to a cluster that is ready.
        case createCluster
        /// From the wish to nothing left.
        case destroyCluster
        /// From the wish to another leader that lets clients in.
        case switchover
        /// From the wish to members whose Postgres was started anew.
        case restart
        /// From the wish to a cluster with other members.
        case changeMembers
        /// From a person's word to the leader that it names, who lets clients in.
        case forcedFailover
        /// A lost reader's place was given to another one, though nobody asked: that is all of it, and ends as it begins.
        case replaceReader
        /// A word of a newer version.
        case unknown(String)

        /// All that this version knows.
        public static let known: [Self] = [
            .createCluster, .destroyCluster, .switchover, .restart, .changeMembers,
            .forcedFailover, .replaceReader,
        ]

        public var rawValue: String {
            switch self {
            case .createCluster: "create_cluster"
            case .destroyCluster: "destroy_cluster"
            case .switchover: "switchover"
            case .restart: "restart"
            case .changeMembers: "change_members"
            case .forcedFailover: "forced_failover"
            case .replaceReader: "replace_reader"
            case .unknown(let word): word
            }
        }
    }

    /// How far it is. `running` becomes `succeeded` or `failed`, which are final.
    public enum State: OpenEnum {
        /// It goes on.
        case running
        /// It came out as wanted.
        case succeeded
        /// It is certain not to come out as wanted.
        case failed
        /// A word of a newer version.
        case unknown(String)

        /// All that this version knows.
        public static let known: [Self] = [.running, .succeeded, .failed]

        public var rawValue: String {
            switch self {
            case .running: "running"
            case .succeeded: "succeeded"
            case .failed: "failed"
            case .unknown(let word): word
            }
        }
    }

    /// Something that was done.
    public struct Step: Hashable, Sendable, Codable {
        /// In words: `placed orders-1 on ams1`.
        public var name: String
        /// Wall clock of the host that did it, in milliseconds.
        public var at: Int64

        /// As it is when it is begun.
        public init(name: String, at: Int64) {
            self.name = name
            self.at = at
        }
    }

    /// What a switchover began from.
    public struct Reigning: Hashable, Sendable, Codable {
        /// Before it.
        public var epoch: Epoch
        /// Before it.
        public var leader: MemberName
        /// Who is to lead; nil: anybody else.
        public var target: MemberName?

        /// As it is when it is begun.
        public init(epoch: Epoch, leader: MemberName, target: MemberName?) {
            self.epoch = epoch
            self.leader = leader
            self.target = target
        }
    }

    /// Its name.
    public var id: PlanetOperationID
    /// What kind of work it is.
    public var kind: Kind
    /// What it is done to: the cluster's name.
    public var object: AppName
    /// When the object was made, in milliseconds: what has its name later is another one.
    public var objectMadeAt: Int64
    /// How far it is.
    public var state: State
    /// Wall clocks of the hosts that began and ended it, in milliseconds.
    public var startedAt: Int64
    /// Wall clock of the host that ended it, in milliseconds; nil while it is running.
    public var endedAt: Int64?
    /// The call that began it.
    public var requestID: String?
    /// The newest; what was done by a host that died right after may be missing.
    public var steps: [Step]
    /// What is in the way, for people; nil when nothing is.
    public var obstacle: String?
    /// What came of it, in words.
    public var result: String?
    /// Of a switchover.
    public var reigning: Reigning?

    /// Steps that are kept.
    public static let stepsMax = 64
    /// Characters of an obstacle or a result that are kept.
    public static let wordsMax = 2000

    /// One that begins.
    public init(
        id: PlanetOperationID, kind: Kind, object: AppName, objectMadeAt: Int64, startedAt: Int64, requestID: String?,
        reigning: Reigning? = nil
    ) {
        self.id = id
        self.kind = kind
        self.object = object
        self.objectMadeAt = objectMadeAt
        state = .running
        self.startedAt = startedAt
        self.requestID = requestID
        steps = []
        self.reigning = reigning
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, object, state, steps, obstacle, result, reigning
        case objectMadeAt = "object_made_at"
        case startedAt = "started_at"
        case endedAt = "ended_at"
        case requestID = "request_id"
    }
}
