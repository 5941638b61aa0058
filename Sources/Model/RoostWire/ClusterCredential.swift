public import RoostModel

extension ClusterBody {
    /// What a client needs to log in. Only hosts with a member of the cluster keep it; all others ask the store for it.
    public enum Credential: OpenEnum {
        /// Of the URLs.
        case password
        /// ``ClusterBody/authorityCertificate``.
        case authorityCertificate
        /// A word of a newer version.
        case unknown(String)

        /// All that this version knows.
        public static let known: [Self] = [.password, .authorityCertificate]

        public var rawValue: String {
            switch self {
            case .password: "password"
            case .authorityCertificate: "ca_certificate"
            case .unknown(let word): word
            }
        }
    }
}
