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

/// The arguments of `wg set` that make a device what it should be, and touch nothing that already is.
struct PeerChanges: Hashable, Sendable {
    /// One group of arguments for each peer that is removed or changed.
    var arguments: [[String]] = []

    /// Keeps the way through address translation open, and notices soon that a peer has restarted.
    static let keepaliveSeconds = 25

    /// - Parameter told: the endpoint each public key was last given. A peer that has roamed since keeps where it
    ///   was heard from last; only a new word from the store overrides it.
    init(from state: WireGuardState, to peers: [MeshPeer], told: [String: String]) {
        let wanted = Set(peers.map(\.identity.publicKey))
        for peer in state.peers where !wanted.contains(peer.publicKey) {
            arguments.append(["peer", peer.publicKey, "remove"])
        }
        for peer in peers {
            let key = peer.identity.publicKey
            let live = state.peers.first { $0.publicKey == key }
            let allowed = Self.allowedAddresses(of: peer)
            var change: [String] = []
            let isTold = told[key] == peer.identity.endpoint && live?.endpoint != nil
            if !isTold, live?.endpoint != peer.identity.endpoint { change += ["endpoint", peer.identity.endpoint] }
            if live?.keepaliveSeconds != Self.keepaliveSeconds {
                change += ["persistent-keepalive", "\(Self.keepaliveSeconds)"]
            }
            if live?.allowed != Set(allowed) { change += ["allowed-ips", allowed.joined(separator: ",")] }
            if !change.isEmpty { arguments.append(["peer", key] + change) }
        }
    }

    /// What changes between two lists, for a device that has the first: nothing is asked of the device, and the work is
    /// as large as the change.
    init(from old: [HostName: MeshPeer], to new: [HostName: MeshPeer]) {
        for (host, peer) in old.sorted(by: { $0.key < $1.key })
        where new[host]?.identity.publicKey != peer.identity.publicKey {
            arguments.append(["peer", peer.identity.publicKey, "remove"])
        }
        for (host, peer) in new.sorted(by: { $0.key < $1.key }) where old[host] != peer {
            let before = old[host].flatMap { $0.identity.publicKey == peer.identity.publicKey ? $0 : nil }
            var change: [String] = []
            if before?.identity.endpoint != peer.identity.endpoint { change += ["endpoint", peer.identity.endpoint] }
            if before == nil { change += ["persistent-keepalive", "\(Self.keepaliveSeconds)"] }
            let allowed = Self.allowedAddresses(of: peer)
            if before.map(Self.allowedAddresses) != allowed {
                change += ["allowed-ips", allowed.joined(separator: ",")]
            }
            if !change.isEmpty { arguments.append(["peer", peer.identity.publicKey] + change) }
        }
    }

    /// Adds the peers the device does not know yet, and leaves those it knows as they are.
    init(adding peers: [MeshPeer], to state: WireGuardState) {
        let known = Set(state.peers.map(\.publicKey))
        var nothing = state
        nothing.peers = []
        self.init(from: nothing, to: peers.filter { !known.contains($0.identity.publicKey) }, told: [:])
    }

    static func allowedAddresses(of peer: MeshPeer) -> [String] {
        ([peer.identity.address] + peer.machines.sorted()).map { "\($0)/128" }
    }
}
