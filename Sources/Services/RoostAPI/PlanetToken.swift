import RoostCrypto
public import RoostModel

/// The planet's token: what users show as it is, and what each host derives its own credential from.
///
/// A host's credential names the host, so that one host's cannot be used as another's, and a user's token opens no route
/// of hosts. Whoever has the token can derive every host's credential: until hosts have keys of their own, this keeps
/// callers apart by what they are, and the address they must call from (``APIDoor/Callers``) keeps out who is no host.
public struct PlanetToken: Sendable {
    private let text: String

    /// Longer than any list of macaroons that Fly.io's client sends.
    static let headerBytesMax = 16 << 10
    static let peerScheme = "roost-peer"
    private static let purpose = "roost peer 1 "
    private static let scrapePurpose = "roost scrape 1"

    /// A token as it stands in the host's file.
    public init(_ text: String) { self.text = text }

    /// What a host shows in `Authorization` when it calls another.
    public func credential(of host: HostName) -> String {
        "Roost-Peer \(host):" + Hexadecimal.text(code(of: Self.purpose + host.text))
    }

    /// What a program shows that collects what hosts count, as a bearer's token. The planet's token cannot be found from
    /// it.
    public var scrapeCredential: String {
        Hexadecimal.text(code(of: Self.scrapePurpose))
    }

    /// Who shows this header, or nil when it proves nothing.
    func holder(of header: String) -> Holder? {
        guard header.utf8.count <= Self.headerBytesMax else { return nil }
        let words = header.split(separator: " ", maxSplits: 1)
        guard words.count == 2 else { return nil }
        let credential = words[1].drop { $0 == " " }
        switch words[0].lowercased() {
        case "bearer":
            if isToken(credential) { return .user }
            return isScrapeCredential(credential) ? .scraper : nil
        // Fly.io's client joins macaroons with commas.
        case "flyv1": return credential.split(separator: ",").contains(where: isToken) ? .user : nil
        case Self.peerScheme: return peer(credential)
        default: return nil
        }
    }

    enum Holder: Hashable {
        case user
        case scraper
        case peer(HostName)
    }

    private var key: [UInt8] { Array(text.utf8) }

    private func code(of text: some StringProtocol) -> [UInt8] { MessageCode.of(Array(text.utf8), key: key) }

    /// Both are hashed first: the comparison takes the same time wherever they differ.
    private func isToken(_ shown: Substring) -> Bool {
        MessageCode.isCode(code(of: shown), of: Array(text.utf8), key: key)
    }

    private func isScrapeCredential(_ shown: Substring) -> Bool {
        guard let code = Hexadecimal.bytes(shown, count: MessageCode.bytes) else { return false }
        return MessageCode.isCode(code, of: Array(Self.scrapePurpose.utf8), key: key)
    }

    private func peer(_ credential: Substring) -> Holder? {
        let parts = credential.split(separator: ":")
        guard parts.count == 2, let host = try? HostName(String(parts[0])),
            let code = Hexadecimal.bytes(parts[1], count: MessageCode.bytes),
            MessageCode.isCode(code, of: Array((Self.purpose + host.text).utf8), key: key)
        else { return nil }
        return .peer(host)
    }
}
