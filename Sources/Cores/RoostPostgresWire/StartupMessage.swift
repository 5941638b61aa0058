/// A StartupMessage of protocol 3.x. Which minor versions are understood is the backend's to say.
///
/// Read as Postgres reads it (`ProcessStartupPacket`, backend_startup.c of PostgreSQL 17): what an edge decides by a
/// parameter must be what the backend sees in it.
public struct StartupMessage: Hashable, Sendable {
    public let minorVersion: Int
    /// The whole packet.
    public let bytes: [UInt8]
    /// It wants a walsender: one of `max_wal_senders`, which the backend gives before it knows who asks.
    public let asksForReplication: Bool
    /// As whom it wants to be let in.
    public let users: [String]

    /// Nil where Postgres would say "invalid startup packet layout".
    ///
    /// - Parameter packet: the length and the version first.
    init?(minorVersion: Int, _ packet: [UInt8]) {
        guard let values = Self.values(of: "replication", in: packet), let users = Self.values(of: "user", in: packet)
        else { return nil }
        self.minorVersion = minorVersion
        bytes = packet
        // Postgres goes by the last of several. Nobody says two in good faith, and any of them is enough here.
        asksForReplication = values.contains(where: Self.asksForReplication)
        self.users = users.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Pairs of texts, each ended by a zero byte, and one more zero byte: the packet's last.
    private static func values(of wanted: String, in packet: [UInt8]) -> [ArraySlice<UInt8>]? {
        var rest = packet.dropFirst(8)
        var values: [ArraySlice<UInt8>] = []
        while let first = rest.first, first != 0 {
            guard let name = takeText(&rest), let value = takeText(&rest) else { return nil }
            if name.elementsEqual(wanted.utf8) { values.append(value) }
        }
        return rest.elementsEqual([0]) ? values : nil
    }

    private static func takeText(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(of: 0) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return rest[..<end]
    }

    /// "database", in these letters, or what `parse_bool` (bool.c) takes for true: "1", and any beginning of "true",
    /// "yes" and "on", in any case, that could not be one of "off" too.
    private static func asksForReplication(_ value: ArraySlice<UInt8>) -> Bool {
        if value.elementsEqual("database".utf8) || value.elementsEqual("1".utf8) { return true }
        let lower = value.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
        guard !lower.isEmpty else { return false }
        return "true".utf8.starts(with: lower) || "yes".utf8.starts(with: lower) || lower.elementsEqual("on".utf8)
    }
}
