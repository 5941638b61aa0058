import RoostModel
import RoostPeers

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
        let known = Dictionary(state.peers.map { ($0.publicKey, $0) }, uniquingKeysWith: { first, _ in first })
        for peer in state.peers where !wanted.contains(peer.publicKey) {
            arguments.append(["peer", peer.publicKey, "remove"])
        }
        for peer in peers {
            let key = peer.identity.publicKey
            let live = known[key]
            let allowed = [peer.identity.address] + peer.machines.sorted()
            var change: [String] = []
            let isTold = told[key] == peer.identity.endpoint && live?.endpoint != nil
            if !isTold, live?.endpoint != peer.identity.endpoint { change += ["endpoint", peer.identity.endpoint] }
            if live?.keepaliveSeconds != Self.keepaliveSeconds {
                change += ["persistent-keepalive", "\(Self.keepaliveSeconds)"]
            }
            if live?.allowed != Set(allowed.map(Self.prefix)) { change += ["allowed-ips", Self.list(allowed)] }
            if !change.isEmpty { arguments.append(["peer", key] + change) }
        }
    }

    /// The steps from what the device is known to have: nothing is asked of it, and the work is as large as the change.
    init(_ steps: [PeerStep]) {
        for step in steps {
            switch step {
            case .remove(let key): arguments.append(["peer", key, "remove"])
            case .set(let key, let isNew, let endpoint, let addresses):
                var change = ["peer", key]
                if let endpoint { change += ["endpoint", endpoint] }
                if isNew { change += ["persistent-keepalive", "\(Self.keepaliveSeconds)"] }
                // WireGuard's tools of before 2025 cannot take one away: a peer's addresses are said whole.
                if let addresses { change += ["allowed-ips", Self.list(addresses)] }
                arguments.append(change)
            }
        }
    }

    /// Adds the peers the device does not know yet, and leaves those it knows as they are.
    init(adding peers: [MeshPeer], to state: WireGuardState) {
        let known = Set(state.peers.map(\.publicKey))
        var nothing = state
        nothing.peers = []
        self.init(from: nothing, to: peers.filter { !known.contains($0.identity.publicKey) }, told: [:])
    }

    private static func prefix(_ address: IPv6Address) -> String { "\(address)/128" }

    private static func list(_ addresses: [IPv6Address]) -> String {
        addresses.map(prefix).joined(separator: ",")
    }
}
