/// Something that a host's program can do and that others rely on.
///
/// A feature that others must understand is used only when all concerned say that they do: see ``Capability/all(_:have:)``.
public enum Capability: OpenEnum {
    /// Reads machines and volumes as records of their own. Without it: all of a host in one record.
    case smallRecords
    /// Finds the secrets of clusters apart from their other records.
    case secretsApart
    /// As an edge lets in clients of a cluster from the networks of its list only.
    case clientLists
    /// Makes the readers of a cluster, and lets clients in to them.
    case readers
    /// Of a newer version.
    case unknown(String)

    public static let known: [Self] = [.smallRecords, .secretsApart, .clientLists, .readers]

    /// Those of a host's edge, a program of its own that may be older or newer than the host's: a host says them when the
    /// edge that serves has said them.
    public static let ofEdges: Set<Self> = [.clientLists]

    public var rawValue: String {
        switch self {
        case .smallRecords: "small-records"
        case .secretsApart: "secrets-apart"
        case .clientLists: "client-lists"
        case .readers: "readers"
        case .unknown(let word): word
        }
    }

    /// True when every host that is concerned says so. A host of the first version says nothing.
    public static func all(_ concerned: some Sequence<HostRecord>, have capability: Capability) -> Bool {
        concerned.allSatisfy { $0.capabilities.contains(capability) }
    }
}

/// The version of these programs.
public enum Release {
    /// What every program prints for `--version`, and what a host publishes as ``HostRecord/program``.
    public static let version = "0.2.0"
    /// What a host can do whose programs are all of this version.
    public static let capabilities = Set(Capability.known)
}
