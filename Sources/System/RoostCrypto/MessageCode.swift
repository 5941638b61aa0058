import CLibCrypto

/// HMAC-SHA256 (RFC 2104): shows that a message comes from somebody who has the key.
public enum MessageCode {
    /// How long one is.
    public static let bytes = 32

    /// The code of a message.
    public static func of(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { code, count in
            let isMade = message.withUnsafeBytes { write(of: $0, key: key, into: code) }
            precondition(isMade, "libcrypto cannot make a message code")
            count = bytes
        }
    }

    /// Whether this is the message's code, in a time that does not say where it differs.
    public static func isCode(_ shown: [UInt8], of message: [UInt8], key: [UInt8]) -> Bool {
        let code = of(message, key: key)
        return shown.count == code.count && CRYPTO_memcmp(shown, code, code.count) == 0
    }

    /// Writes a code where somebody has room for it: at least as much as libcrypto's longest digest needs, of which
    /// ``bytes`` are the code.
    ///
    /// - Returns: false when libcrypto cannot.
    public static func write(
        of message: UnsafeRawBufferPointer, key: [UInt8], into code: UnsafeMutableBufferPointer<UInt8>
    ) -> Bool {
        precondition(code.count >= Int(EVP_MAX_MD_SIZE))
        // No key at all is the same as zeros, and to libcrypto a key of no bytes means the one of before.
        let key = key.isEmpty ? [0] : key
        var count: UInt32 = 0
        let made = HMAC(
            EVP_sha256(), key, Int32(key.count), message.bindMemory(to: UInt8.self).baseAddress, message.count,
            code.baseAddress, &count)
        return made != nil && count == UInt32(bytes)
    }
}
