import CLibCrypto

/// SHA-256 (FIPS 180-4).
public enum Digest {
    /// How long one is.
    public static let bytes = 32

    /// The digest of a text's UTF-8, in hexadecimal digits.
    public static func text(of text: String) -> String { Hexadecimal.text(of(Array(text.utf8))) }

    static func of(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { digest, count in
            var written: UInt32 = 0
            let isMade = EVP_Digest(message, message.count, digest.baseAddress, &written, EVP_sha256(), nil) == 1
            precondition(isMade && written == UInt32(bytes), "libcrypto cannot make a SHA-256 digest")
            count = bytes
        }
    }
}
