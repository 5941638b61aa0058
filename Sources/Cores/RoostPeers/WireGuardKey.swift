/// WireGuard's public keys, as its tools write them.
enum WireGuardKey {
    /// 32 bytes in base64 (RFC 4648, 4), in the one way to write them, and not all of them zero: for that WireGuard's tools
    /// have no peer.
    static func isPublic(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 44, bytes.last == UInt8(ascii: "=") else { return false }
        var all: UInt8 = 0
        var last: UInt8 = 0
        for byte in bytes.dropLast() {
            guard let value = value(of: byte) else { return false }
            all |= value
            last = value
        }
        // The last of 43 characters has four bits of the key, and two that are not.
        return all != 0 && last & 3 == 0
    }

    private static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
