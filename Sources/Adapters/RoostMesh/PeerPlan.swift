import Foundation
import RoostModel

/// Which of the peers that the planet names can be had. A pure decision: one wrong record harms the host it is of, and
/// nobody else. What was accepted before goes first, so that a newcomer takes nothing from anybody.
struct PeerPlan: Hashable, Sendable {
    struct Refusal: Hashable, Sendable {
        var host: HostName
        var why: String
    }

    private(set) var accepted: [HostName: MeshPeer] = [:]
    private(set) var refusals: [Refusal] = []

    private var hostByKey: [String: HostName] = [:]
    private var hostByAddress: [IPv6Address: HostName] = [:]
    private var hostByMachine: [IPv6Address: HostName] = [:]

    /// - Parameters:
    ///   - own: who this host is; a peer of that name is no peer.
    ///   - address: where a name leads to.
    ///   - before: what was accepted last.
    init(
        _ wanted: [MeshPeer], for own: HostName, key: String, before: [HostName: MeshPeer],
        address: (HostName) -> IPv6Address = MeshAddress.host
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
            if let why = whyNot(peer, address(peer.host)) {
                refusals.append(Refusal(host: peer.host, why: why))
                continue
            }
            hostByKey[peer.identity.publicKey] = peer.host
            hostByAddress[peer.identity.address] = peer.host
            accepted[peer.host] = peer
            accepted[peer.host]?.machines = []
        }
        takeMachines(of: sorted, before: before)
    }

    private func whyNot(_ peer: MeshPeer, _ address: IPv6Address) -> String? {
        let identity = peer.identity
        if (try? UnderlayEndpoint(identity.endpoint)) == nil { return "'\(identity.endpoint)' is no endpoint" }
        guard let key = Data(base64Encoded: identity.publicKey), key.count == 32,
            key.base64EncodedString() == identity.publicKey, key.contains(where: { $0 != 0 })
        else { return "its public key is none of WireGuard's" }
        if let other = hostByKey[identity.publicKey] { return "host \(other) has the same public key" }
        guard identity.address == address else {
            return "its address \(identity.address) does not follow from its name"
        }
        if let other = hostByAddress[identity.address] {
            return "its name leads to the same address as that of host \(other), \(address): rename one of them"
        }
        return accepted[peer.host] == nil ? nil : "it is named twice"
    }

    /// An address that two claim stays with the one that had it, until that one lets it go.
    private mutating func takeMachines(of peers: [MeshPeer], before: [HostName: MeshPeer]) {
        let had = before.mapValues { Set($0.machines) }
        for isHeld in [true, false] {
            for peer in peers where accepted[peer.host] != nil {
                for address in peer.machines where had[peer.host, default: []].contains(address) == isHeld {
                    take(address, for: peer.host)
                }
            }
        }
        for host in accepted.keys { accepted[host]?.machines.sort() }
    }

    private mutating func take(_ address: IPv6Address, for host: HostName) {
        guard MeshAddress.isOfMachine(address) else {
            refusals.append(Refusal(host: host, why: "\(address) is no machine's address"))
            return
        }
        if let other = hostByMachine[address] {
            if other != host {
                refusals.append(Refusal(host: host, why: "\(address) is with host \(other) until that one lets it go"))
            }
            return
        }
        hostByMachine[address] = host
        accepted[host]?.machines.append(address)
    }
}
