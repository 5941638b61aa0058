import RoostModel

extension StringProtocol {
    /// What a program said, without where things are: for those who need the reason, and may not see the inside. Addresses become
    /// `…`, of a path its last part stays, and how a server was reached is left out, as libpq says it
    /// (fe-connect.c, emitHostIdentityInfo and its callers):
    ///
    ///     connection to server at "db.example" (fdaa::5), port 5432 failed: Connection refused
    ///     connection to server on socket "/run/pg/.s.PGSQL.5432" failed: No such file or directory
    ///     could not translate host name "db.example" to address: Name or service not known
    ///
    /// Lines stay lines.
    public var withoutPlaces: String {
        String(self).split(separator: "\n", omittingEmptySubsequences: false).map { Places.cut($0) }
            .joined(separator: "\n")
    }
}

private enum Places {
    /// Words from `at` or `on` to `failed:`.
    static let wayWordsMax = 10
    /// A sentence's, around what it names.
    static let marksBefore: Set<Character> = ["\"", "'", "`", "(", "[", "<"]
    static let marksAfter: Set<Character> = ["\"", "'", "`", ")", "]", ">", ",", ";", ":", "."]

    static func cut(_ line: Substring) -> String {
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
        var kept: [String] = []
        var index = 0
        while index < words.count {
            let word = words[index]
            if kept.suffix(3) == ["connection", "to", "server"], word == "at" || word == "on",
                let end = words[index...].prefix(wayWordsMax).firstIndex(of: "failed:")
            {
                index = end
                continue
            }
            index += 1
            if kept.suffix(2) == ["host", "name"], word.hasPrefix("\"") { continue }
            kept.append(cut(word: word))
        }
        return kept.joined(separator: " ")
    }

    private static func cut(word: String) -> String {
        // Of a connection string: `host=fdaa::5`.
        if let sign = word.lastIndex(of: "="), sign != word.startIndex, word.index(after: sign) < word.endIndex {
            return word[...sign] + cut(word: String(word[word.index(after: sign)...]))
        }
        let inner = word.drop { marksBefore.contains($0) || $0.isWhitespace }
        let begin = word[..<inner.startIndex]
        var core = inner
        while let last = core.last, marksAfter.contains(last), !core.hasSuffix("::") { core.removeLast() }
        // `fdaa::5]:5432`
        let address = core.prefix { $0 != "]" }
        if isAddress(address) { return "\(begin)…\(inner[address.endIndex...])" }
        guard core.hasPrefix("/"), let name = core.split(separator: "/").last else { return word }
        return "\(begin)\(name)\(inner[core.endIndex...])"
    }

    private static func isAddress(_ text: Substring) -> Bool {
        // `fdaa::5%roost0`, `fdaa::/16`
        let bare = text.prefix { $0 != "%" && $0 != "/" }
        if (try? IPv6Address(String(bare))) != nil { return true }
        return (try? IPv4Address(String(bare.prefix { $0 != ":" }))) != nil
    }
}
