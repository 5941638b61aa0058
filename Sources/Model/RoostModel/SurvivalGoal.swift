/// What a cluster is to survive without a person's help: it loses no confirmed commit by it, and goes on taking commits. For the
/// latter the store has to survive it too.
public enum SurvivalGoal: OpenEnum {
    /// The loss of any one host.
    case host
    /// The loss of all hosts of any one region.
    case region
    /// A word of a newer version.
    case unknown(String)

    public static let known: [Self] = [.host, .region]

    public var rawValue: String {
        switch self {
        case .host: "host"
        case .region: "region"
        case .unknown(let word): word
        }
    }
}
