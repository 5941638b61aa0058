/// A feature whose machines, volumes and apps come and go with it, and not by orders of people.
public enum OwnerKind: OpenEnum {
    /// A Postgres cluster.
    case postgres
    /// A feature of a newer version: what it owns is left alone.
    case unknown(String)

    public static let known: [Self] = [.postgres]

    public var rawValue: String {
        switch self {
        case .postgres: "postgres"
        case .unknown(let word): word
        }
    }
}

/// Whose a machine is, when it is not its app's own.
public struct MachineOwner: Hashable, Sendable, Codable {
    /// What kind of feature it belongs to.
    public var kind: OwnerKind
    /// The one thing of that kind, for example the cluster.
    public var name: AppName
    /// What the machine is in it, for example the member's name.
    public var role: MemberName

    /// As the feature orders the machine. People cannot.
    public init(kind: OwnerKind, name: AppName, role: MemberName) {
        self.kind = kind
        self.name = name
        self.role = role
    }
}

extension KeyedDecodingContainer {
    /// An owner as it is written now, or as the first version wrote it: the role of a member of a Postgres cluster, whose
    /// name is the app's.
    public func decodeOwner(_ key: Key, former: Key, app: AppName) throws -> MachineOwner? {
        if let owner = try decodeIfPresent(MachineOwner.self, forKey: key) { return owner }
        guard let role = try decodeIfPresent(MemberName.self, forKey: former) else { return nil }
        return MachineOwner(kind: .postgres, name: app, role: role)
    }
}

extension KeyedEncodingContainer {
    /// Writes an owner also in the words of the first version, which leaves such a machine alone.
    public mutating func encodeOwner(_ owner: MachineOwner?, _ key: Key, former: Key) throws {
        try encodeIfPresent(owner, forKey: key)
        try encodeIfPresent(owner?.role, forKey: former)
    }
}
