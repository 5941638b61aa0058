import Foundation
import RoostModel
import RoostPeers

/// What ``PeerPlan`` decides change by change, decided over all hosts and all addresses at once: short, and slow.
struct WholePeerPlan {
    private(set) var accepted: [HostName: MeshPeer] = [:]
    private(set) var refused: [HostName] = []

    private var hostByKey: [String: HostName] = [:]
    private var hostByAddress: [IPv6Address: HostName] = [:]
    private var hostByMachine: [IPv6Address: HostName] = [:]

    init(
        _ wanted: [MeshPeer], for own: HostName, key: String, before: [HostName: MeshPeer],
        address: (HostName) -> IPv6Address
    ) {
        hostByKey[key] = own
        hostByAddress[address(own)] = own
        func isKnown(_ peer: MeshPeer) -> Bool {
            before[peer.host]?.identity.publicKey == peer.identity.publicKey
        }
        let sorted = wanted.filter { $0.host != own }.sorted {
            isKnown($0) != isKnown($1) ? isKnown($0) : $0.host < $1.host
        }
        for peer in sorted {
            guard isRight(peer, address(peer.host)) else {
                refused.append(peer.host)
                continue
            }
            hostByKey[peer.identity.publicKey] = peer.host
            hostByAddress[peer.identity.address] = peer.host
            accepted[peer.host] = peer
            accepted[peer.host]?.machines = []
        }
        let had = before.mapValues { Set($0.machines) }
        for isHeld in [true, false] {
            for peer in sorted where accepted[peer.host] != nil {
                for address in peer.machines where had[peer.host, default: []].contains(address) == isHeld {
                    take(address, for: peer.host)
                }
            }
        }
        for host in accepted.keys { accepted[host]?.machines.sort() }
    }

    private func isRight(_ peer: MeshPeer, _ address: IPv6Address) -> Bool {
        let identity = peer.identity
        guard (try? UnderlayEndpoint(identity.endpoint)) != nil else { return false }
        guard let key = Data(base64Encoded: identity.publicKey), key.count == 32,
            key.base64EncodedString() == identity.publicKey, key.contains(where: { $0 != 0 })
        else { return false }
        return hostByKey[identity.publicKey] == nil && identity.address == address && hostByAddress[address] == nil
    }

    private mutating func take(_ address: IPv6Address, for host: HostName) {
        guard MeshAddress.isOfMachine(address), hostByMachine[address] == nil else {
            refused.append(host)
            return
        }
        hostByMachine[address] = host
        accepted[host]?.machines.append(address)
    }
}

/// What a WireGuard device makes of the steps that it is told: an address leads to one peer only, to the last that was
/// given it.
struct ModelDevice: Equatable {
    struct Peer: Equatable {
        var endpoint: String
        var addresses: Set<IPv6Address> = []
    }

    private(set) var peers: [String: Peer] = [:]

    init() {}

    init(_ whole: some Sequence<MeshPeer>) {
        for peer in whole {
            peers[peer.identity.publicKey] = Peer(
                endpoint: peer.identity.endpoint, addresses: Set([peer.identity.address] + peer.machines))
        }
    }

    /// - Returns: false for a step that a device could not carry out: of a peer that is not there, or a new one that is.
    mutating func carryOut(_ step: PeerStep) -> Bool {
        switch step {
        case .remove(let key): return peers.removeValue(forKey: key) != nil
        case .set(let key, let isNew, let endpoint, let addresses):
            guard isNew == (peers[key] == nil), !isNew || (endpoint != nil && addresses != nil) else { return false }
            if let endpoint { peers[key, default: Peer(endpoint: endpoint)].endpoint = endpoint }
            if let addresses {
                for other in peers.keys { peers[other]?.addresses.subtract(addresses) }
                peers[key]?.addresses = Set(addresses)
            }
            return true
        }
    }
}
