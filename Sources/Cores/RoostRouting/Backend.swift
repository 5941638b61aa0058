public import RoostModel

/// An instance of a service as an edge reaches it: over the mesh, at the instance's own address.
public struct Backend: Hashable, Sendable, CustomStringConvertible {
    public var member: MemberName
    public var address: IPv6Address
    public var port: UInt16

    public init(member: MemberName, address: IPv6Address, port: UInt16) {
        self.member = member
        self.address = address
        self.port = port
    }

    public var description: String { "\(member) at [\(address)]:\(port)" }
}

/// What an edge shows to a client that asks for TLS: a service's certificate and its key, both PEM.
public struct TLSIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The server certificate first, then the chain, if there is one.
    public var certificateChain: String
    public var privateKey: String

    public init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }

    /// Never the key: values end up in logs.
    public var description: String { "TLS identity of \(certificateChain.utf8.count) certificate bytes" }
}

/// How a service's clients are to speak. There is no way from a certificate that does not work to clear text.
public enum Encryption: Hashable, Sendable {
    /// Clear text only: the service has no certificate.
    case none
    /// As the client likes.
    case optional(TLSIdentity)
    /// TLS, or an error that says so.
    case required(TLSIdentity)
    /// There is a certificate, and it cannot be used: nobody is served until it can.
    case unusable

    public var identity: TLSIdentity? {
        switch self {
        case .none, .unusable: nil
        case .optional(let identity), .required(let identity): identity
        }
    }
}
