/// An address and a UDP port outside the mesh: `198.18.1.11:51820` or `[2001:db8::1]:51820`. Never a name: what
/// the mesh needs to come up must not depend on a resolver.
public struct UnderlayEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// Of either family: the mesh is IPv6 inside, whatever carries it.
    public enum Address: Hashable, Sendable {
        /// Written `198.18.1.11`.
        case v4(IPv4Address)
        /// Written in brackets, for its colons.
        case v6(IPv6Address)
    }

    /// Where the packets go.
    public var address: Address
    /// Of UDP. Read from a text it is never 0.
    public var port: UInt16

    /// Any pair is an endpoint; nothing is checked.
    public init(address: Address, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Reads what ``description`` writes.
    /// - Throws: ``InvalidValue`` for all else, also for a name or the port 0.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(
            kind: "endpoint", value: text, rule: "for example 198.18.1.11:51820 or [2001:db8::1]:51820")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw wrong
        }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            address = .v6(try IPv6Address(String(host.dropFirst().dropLast())))
        } else {
            address = .v4(try IPv4Address(String(host)))
        }
        self.port = port
    }

    public var description: String {
        switch address {
        case .v4(let address): "\(address):\(port)"
        case .v6(let address): "[\(address)]:\(port)"
        }
    }
}
