import RoostModel

/// What `wg show <interface> dump` says.
struct WireGuardState: Hashable, Sendable {
    struct Peer: Hashable, Sendable {
        var publicKey: String
        /// Nil until the peer was heard of or configured.
        var endpoint: String?
        var allowed: Set<String>
        var keepaliveSeconds: Int
        /// Of the wall clock; nil before the first.
        var latestHandshake: Int64?
    }

    /// Nil when the interface has no key yet.
    var publicKey: String?
    var listenPort: UInt16
    var peers: [Peer]

    /// The dump: tab-separated, the interface first, then a line for each peer (wg(8), "show … dump").
    init(dump: String) throws(MeshError) {
        let lines = dump.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
        guard let first = lines.first, first.count == 4, let port = UInt16(first[2]) else {
            throw MeshError(operation: "read", subject: "wg show dump", cause: "unexpected first line")
        }
        publicKey = first[0] == "(none)" ? nil : String(first[1])
        listenPort = port
        peers = []
        for fields in lines.dropFirst() {
            guard fields.count == 8 else {
                throw MeshError(operation: "read", subject: "wg show dump", cause: "unexpected line of a peer")
            }
            let handshake = Int64(fields[4]) ?? 0
            peers.append(
                Peer(
                    publicKey: String(fields[0]), endpoint: fields[2] == "(none)" ? nil : String(fields[2]),
                    allowed: fields[3] == "(none)" ? [] : Set(fields[3].split(separator: ",").map(String.init)),
                    keepaliveSeconds: Int(fields[7]) ?? 0, latestHandshake: handshake == 0 ? nil : handshake))
        }
    }
}
