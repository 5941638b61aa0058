import CLibCrypto

/// A private key of X25519 (RFC 7748), as WireGuard's are: two who know each other's public halves can make a key that
/// nobody else can.
public struct AgreementKey: Sendable {
    /// How long either half is.
    public static let bytesCount = 32

    /// The private half. Not to be shown.
    public let bytes: [UInt8]
    /// The public half.
    public let publicBytes: [UInt8]

    /// A new one, of the kernel's random numbers.
    public init() {
        var random = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        while bytes.count < Self.bytesCount {
            withUnsafeBytes(of: random.next() as UInt64) { bytes.append(contentsOf: $0) }
        }
        guard let key = AgreementKey(bytes: bytes) else { preconditionFailure("libcrypto cannot make an X25519 key") }
        self = key
    }

    /// - Returns: nil where these are no key.
    public init?(bytes: [UInt8]) {
        guard bytes.count == Self.bytesCount else { return nil }
        let publicBytes = Self.withPrivate(bytes) { key -> [UInt8]? in
            var count = Self.bytesCount
            var found = [UInt8](repeating: 0, count: count)
            guard EVP_PKEY_get_raw_public_key(key, &found, &count) == 1, count == found.count else { return nil }
            return found
        }
        guard let publicBytes else { return nil }
        self.bytes = bytes
        self.publicBytes = publicBytes
    }

    /// The key that these two have in common for one purpose: HKDF-SHA256 (RFC 5869) of what they agree on, without salt.
    ///
    /// - Parameter purpose: keeps keys of different purposes apart.
    /// - Returns: nil for a public key that no honest party has: everybody would know what is agreed on.
    public func shared(with other: [UInt8], purpose: [UInt8]) -> [UInt8]? {
        guard let secret = secret(with: other) else { return nil }
        return Self.expanded(secret, purpose: purpose)
    }

    static func expanded(_ secret: [UInt8], purpose: [UInt8]) -> [UInt8] {
        MessageCode.of(purpose + [1], key: MessageCode.of(secret, key: [UInt8](repeating: 0, count: Digest.bytes)))
    }

    func secret(with other: [UInt8]) -> [UInt8]? {
        guard other.count == Self.bytesCount else { return nil }
        return Self.withPrivate(bytes) { own -> [UInt8]? in
            guard let peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, other, other.count) else { return nil }
            defer { EVP_PKEY_free(peer) }
            guard let context = EVP_PKEY_CTX_new(own, nil) else { return nil }
            defer { EVP_PKEY_CTX_free(context) }
            var count = Self.bytesCount
            var secret = [UInt8](repeating: 0, count: count)
            guard EVP_PKEY_derive_init(context) == 1, EVP_PKEY_derive_set_peer(context, peer) == 1,
                EVP_PKEY_derive(context, &secret, &count) == 1, count == secret.count
            else { return nil }
            return secret.contains { $0 != 0 } ? secret : nil
        }
    }

    private static func withPrivate<Value>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Value?) -> Value? {
        guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, bytes, bytes.count) else { return nil }
        defer { EVP_PKEY_free(key) }
        return body(key)
    }
}
