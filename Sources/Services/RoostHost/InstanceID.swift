import RoostLinux

/// Fly's form of version and event ids: 26 characters of Crockford's base 32, the time first, so that they sort by
/// age (ULID).
public enum InstanceID {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    public static func make() -> String {
        var random = SystemRandomNumberGenerator()
        var characters: [Character] = []
        let time = UInt64(WallClock.milliseconds())
        for shift in stride(from: 45, through: 0, by: -5) {
            characters.append(alphabet[Int(time >> UInt64(shift) & 31)])
        }
        for _ in 0..<16 { characters.append(alphabet[Int.random(in: 0..<32, using: &random)]) }
        return String(characters)
    }

    /// When it was made, by the clock of whoever made it, in milliseconds; nil: it is no such id.
    public static func time(of text: String) -> Int64? {
        guard text.utf8.count == 26 else { return nil }
        var time: Int64 = 0
        for character in text.prefix(10) {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            time = time << 5 | Int64(digit)
        }
        return time
    }
}

/// The signals a machine may be stopped with: Fly's list.
enum SignalName {
    private static let known = ["HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "TERM"]

    static func isKnown(_ text: String) -> Bool {
        known.contains(text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text)
    }
}
