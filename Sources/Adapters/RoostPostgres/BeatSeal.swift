import CLibCrypto
import Glibc
import RoostCrypto

/// What shows that a datagram is a member's of this cluster: HMAC-SHA256 over all of it. The key comes from the password that
/// members follow with, which they have in common with nobody but the hosts, and with whoever reads a member's files.
struct BeatSeal: Sendable {
    static let bytes = MessageCode.bytes
    private static let purpose = Array("roost beats 1".utf8)

    private let key: [UInt8]

    init(password: String) { key = MessageCode.of(Self.purpose, key: Array(password.utf8)) }

    /// The datagram with its seal behind it.
    func seal(_ datagram: [UInt8]) -> [UInt8] { datagram + MessageCode.of(datagram, key: key) }

    /// Nothing is kept, and nothing allocated, of what has not this seal.
    ///
    /// - Returns: how many bytes of it the datagram has; nil: it is no member's.
    func opened(_ sealed: UnsafeRawBufferPointer) -> Int? {
        guard sealed.count > Self.bytes else { return nil }
        let count = sealed.count - Self.bytes
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { code in
            guard
                MessageCode.write(of: UnsafeRawBufferPointer(rebasing: sealed[..<count]), key: key, into: code),
                CRYPTO_memcmp(code.baseAddress, sealed.baseAddress?.advanced(by: count), Self.bytes) == 0
            else { return nil }
            return count
        }
    }
}
