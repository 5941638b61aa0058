/// What a member's data is worth, as it has written that down itself: also while its Postgres is starting, and shows nothing yet.
public enum MemberData: OpenEnum {
    /// None that ever counted, or none any more: it was removed for a copy.
    case absent
    /// It counts, whether or not its end was read yet.
    case whole
    /// Being taken back to another's history, or broken off in that.
    case unfinished
    /// Proven to be no database any more. It is there, and kept until a copy is whole.
    case spoiled
    /// A whole copy is taking its place.
    case replaced
    /// A word of a newer version.
    case unknown(String)

    public static let known: [Self] = [.absent, .whole, .unfinished, .spoiled, .replaced]

    public var rawValue: String {
        switch self {
        case .absent: "absent"
        case .whole: "whole"
        case .unfinished: "unfinished"
        case .spoiled: "spoiled"
        case .replaced: "replaced"
        case .unknown(let word): word
        }
    }
}
