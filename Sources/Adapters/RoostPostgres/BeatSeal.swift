import CLibCrypto
import Glibc

/// What shows that a datagram is a member's of this cluster: HMAC-SHA256 over all of it. The key comes from the password that
/// members follow with, which they have in common with nobody but the hosts, and with whoever reads a member's files.
struct BeatSeal: Sendable {
    static let bytes = 32
    private static let purpose = Array("roost beats 1".utf8)

    private let key: [UInt8]

    init?(password: String) {
        guard let key = Self.code(of: Self.purpose, by: Array(password.utf8)) else { return nil }
        self.key = key
    }

    /// The datagram with its seal behind it.
    func seal(_ datagram: [UInt8]) -> [UInt8]? { Self.code(of: datagram, by: key).map { datagram + $0 } }

    /// Nothing is kept, and nothing allocated, of what has not this seal.
    ///
    /// - Returns: how many bytes of it the datagram has; nil: it is no member's.
    func opened(_ sealed: UnsafeRawBufferPointer) -> Int? {
        guard sealed.count > Self.bytes else { return nil }
        let count = sealed.count - Self.bytes
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { code in
            guard
                Self.code(of: UnsafeRawBufferPointer(rebasing: sealed[..<count]), by: key, into: code),
                CRYPTO_memcmp(code.baseAddress, sealed.baseAddress?.advanced(by: count), Self.bytes) == 0
            else { return nil }
            return count
        }
    }

    private static func code(of message: [UInt8], by key: [UInt8]) -> [UInt8]? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { code in
            message.withUnsafeBytes { Self.code(of: $0, by: key, into: code) } ? Array(code[..<bytes]) : nil
        }
    }

    /// - Returns: false when libcrypto cannot.
    private static func code(
        of message: UnsafeRawBufferPointer, by key: [UInt8], into code: UnsafeMutableBufferPointer<UInt8>
    ) -> Bool {
        var count: UInt32 = 0
        let made = HMAC(
            EVP_sha256(), key, Int32(key.count), message.bindMemory(to: UInt8.self).baseAddress, message.count,
            code.baseAddress, &count)
        return made != nil && count == UInt32(bytes)
    }
}
