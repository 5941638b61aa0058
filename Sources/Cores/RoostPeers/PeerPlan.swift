public import RoostModel

/// Which of the hosts that the planet names can be peers, and which machine's address leads to which of them. One wrong
/// record harms the host it is of, and nobody else: what was accepted before goes first, so that a newcomer takes nothing
/// from anybody.
///
/// It is told what changed, and looks at nothing but that: at the hosts that have a key or an address in common with one
/// that changed, and at the claims to the addresses that may be another host's now.
public struct PeerPlan: Sendable {
    public struct Refusal: Hashable, Sendable {
        public var host: HostName
        public var why: String
    }

    public let own: HostName
    /// This host's own public key.
    public let key: String
    private let address: @Sendable (HostName) -> IPv6Address

    private struct Wish: Sendable {
        var identity: MeshIdentity?
        var addresses: Set<IPv6Address> = []
    }

    /// What the planet says, right or wrong.
    private var wishes: [HostName: Wish] = [:]
    /// Hosts whose records are right in themselves, by what only one can have.
    private var hostsByKey: [String: Set<HostName>] = [:]
    private var hostsByAddress: [IPv6Address: Set<HostName>] = [:]

    private var accepted: [HostName: MeshIdentity] = [:]
    private var refused: [HostName: String] = [:]

    /// Who has a machine's address: an accepted host that wishes for it.
    private var holders: [IPv6Address: HostName] = [:]
    private var held: [HostName: Set<IPv6Address>] = [:]
    /// Hosts that wish for the address and do not have it.
    private var rivals: [IPv6Address: Set<HostName>] = [:]
    /// Wishes for what no machine can have.
    private var wrong: [HostName: Set<IPv6Address>] = [:]

    /// Hosts and addresses looked at so far, and addresses put into steps.
    private(set) var work = 0

    /// - Parameters:
    ///   - own: who this host is; a peer of that name is no peer.
    ///   - key: its public key.
    ///   - address: where a name leads to.
    public init(
        own: HostName, key: String, address: @escaping @Sendable (HostName) -> IPv6Address = MeshAddress.host
    ) {
        self.own = own
        self.key = key
        self.address = address
    }

    /// All peers with their machines' addresses, as the device should have them.
    public var peers: [MeshPeer] {
        accepted.map { MeshPeer(host: $0, identity: $1, machines: held[$0, default: []].sorted()) }
            .sorted { $0.host < $1.host }
    }

    /// How each peer is reached.
    public var identities: [HostName: MeshIdentity] { accepted }

    /// What the planet says, whether it can be had or not.
    var wanted: [MeshPeer] {
        wishes.compactMap { host, wish in
            wish.identity.map { MeshPeer(host: host, identity: $0, machines: wish.addresses.sorted()) }
        }
    }

    /// What cannot be had as the planet says.
    public var refusals: [Refusal] {
        var refusals = refused.map { Refusal(host: $0, why: $1) }
        for (host, addresses) in wrong where accepted[host] != nil {
            refusals += addresses.sorted().map { Refusal(host: host, why: "\($0) is no machine's address") }
        }
        for (address, hosts) in rivals {
            guard let holder = holders[address] else { continue }
            refusals += hosts.filter { accepted[$0] != nil }.map {
                Refusal(host: $0, why: "\(address) is with host \(holder) until that one lets it go")
            }
        }
        return refusals.sorted { ($0.host, $0.why) < ($1.host, $1.why) }
    }

    /// The planet has these hosts with these addresses, and no others.
    public mutating func replace(with peers: [MeshPeer]) -> PeerSteps {
        var changes: [PeerChange] = []
        var named: Set<HostName> = []
        for peer in peers where named.insert(peer.host).inserted {
            changes.append(.host(peer.host, peer.identity))
            let before = wishes[peer.host]?.addresses ?? []
            let now = Set(peer.machines)
            changes += before.subtracting(now).map { .address($0, on: peer.host, isThere: false) }
            changes += now.subtracting(before).map { .address($0, on: peer.host, isThere: true) }
        }
        for (host, wish) in wishes where !named.contains(host) {
            changes.append(.host(host, nil))
            changes += wish.addresses.map { .address($0, on: host, isThere: false) }
        }
        return take(changes)
    }

    /// All changes at once: in between nothing is decided, so that what one host lets go another can have.
    public mutating func take(_ changes: [PeerChange]) -> PeerSteps {
        var hosts: Set<HostName> = []
        var addresses: Set<IPv6Address> = []
        for change in changes {
            switch change {
            case .host(let host, let identity):
                guard host != own, wishes[host]?.identity != identity else { continue }
                // Whoever was in its way, or it in theirs.
                hosts.formUnion(others(like: host))
                wish(for: host, identity)
                hosts.formUnion(others(like: host))
                hosts.insert(host)
            case .address(let address, let host, let isThere):
                guard host != own, wish(for: address, on: host, isThere: isThere) else { continue }
                addresses.insert(address)
            }
        }
        let former = settle(hosts: related(to: hosts))
        for (host, before) in former where (before == nil) != (accepted[host] == nil) {
            addresses.formUnion(wishes[host]?.addresses ?? [])
            addresses.formUnion(held[host] ?? [])
        }
        var moved: Set<HostName> = []
        for address in addresses { settle(address, former: former, moved: &moved) }
        for host in hosts where wishes[host].map({ $0.identity == nil && $0.addresses.isEmpty }) == true {
            wishes[host] = nil
        }
        return steps(former: former, moved: moved)
    }

    // MARK: - Wishes

    private mutating func wish(for host: HostName, _ identity: MeshIdentity?) {
        if let before = wishes[host]?.identity {
            hostsByKey.remove(host, from: before.publicKey)
            hostsByAddress.remove(host, from: before.address)
        }
        wishes[host, default: Wish()].identity = identity
        guard let identity, fault(of: identity, host) == nil else { return }
        hostsByKey[identity.publicKey, default: []].insert(host)
        hostsByAddress[identity.address, default: []].insert(host)
    }

    /// - Returns: whether it was otherwise before.
    private mutating func wish(for address: IPv6Address, on host: HostName, isThere: Bool) -> Bool {
        if isThere {
            guard wishes[host, default: Wish()].addresses.insert(address).inserted else { return false }
            guard MeshAddress.isOfMachine(address) else {
                wrong[host, default: []].insert(address)
                return false
            }
            if holders[address] != host { rivals[address, default: []].insert(host) }
        } else {
            guard wishes[host]?.addresses.remove(address) != nil else { return false }
            if wishes[host]?.identity == nil, wishes[host]?.addresses.isEmpty == true { wishes[host] = nil }
            wrong.remove(address, from: host)
            rivals.remove(host, from: address)
        }
        return true
    }

    /// What is wrong with it whatever the others are.
    private func fault(of identity: MeshIdentity, _ host: HostName) -> String? {
        if (try? UnderlayEndpoint(identity.endpoint)) == nil { return "'\(identity.endpoint)' is no endpoint" }
        guard WireGuardKey.isPublic(identity.publicKey) else { return "its public key is none of WireGuard's" }
        if identity.publicKey == key { return "host \(own) has the same public key" }
        guard identity.address == address(host) else {
            return "its address \(identity.address) does not follow from its name"
        }
        return identity.address == address(own) ? sameAddress(as: own, identity.address) : nil
    }

    private func sameAddress(as other: HostName, _ address: IPv6Address) -> String {
        "its name leads to the same address as that of host \(other), \(address): rename one of them"
    }

    // MARK: - Hosts

    private func others(like host: HostName) -> Set<HostName> {
        guard let identity = wishes[host]?.identity else { return [] }
        return hostsByKey[identity.publicKey, default: []].union(hostsByAddress[identity.address, default: []])
    }

    /// All whose being accepted may depend on each other.
    private func related(to hosts: Set<HostName>) -> Set<HostName> {
        var related = hosts
        var waiting = Array(hosts)
        while let host = waiting.popLast() {
            for other in others(like: host) where related.insert(other).inserted { waiting.append(other) }
        }
        return related
    }

    /// - Returns: these hosts as they were accepted before.
    private mutating func settle(hosts: Set<HostName>) -> [HostName: MeshIdentity?] {
        work += hosts.count
        let former = Dictionary(uniqueKeysWithValues: hosts.map { ($0, accepted[$0]) })
        func isKnown(_ host: HostName) -> Bool {
            accepted[host].map { $0.publicKey == wishes[host]?.identity?.publicKey } ?? false
        }
        let order = hosts.sorted { isKnown($0) != isKnown($1) ? isKnown($0) : $0 < $1 }
        for host in hosts {
            accepted[host] = nil
            refused[host] = nil
        }
        var byKey: [String: HostName] = [:]
        var byAddress: [IPv6Address: HostName] = [:]
        for host in order {
            guard let identity = wishes[host]?.identity else { continue }
            if let why = fault(of: identity, host) {
                refused[host] = why
            } else if let other = byKey[identity.publicKey] {
                refused[host] = "host \(other) has the same public key"
            } else if let other = byAddress[identity.address] {
                refused[host] = sameAddress(as: other, identity.address)
            } else {
                byKey[identity.publicKey] = host
                byAddress[identity.address] = host
                accepted[host] = identity
            }
        }
        return former
    }

    // MARK: - Machines' addresses

    /// An address that two claim stays with the one that had it, until that one lets it go.
    private mutating func settle(
        _ address: IPv6Address, former: [HostName: MeshIdentity?], moved: inout Set<HostName>
    ) {
        work += 1
        if let holder = holders[address] {
            let isWanted = wishes[holder]?.addresses.contains(address) == true
            if isWanted, accepted[holder] != nil { return }
            holders[address] = nil
            held.remove(address, from: holder)
            moved.insert(holder)
            if isWanted { rivals[address, default: []].insert(holder) }
        }
        /// Whoever was a peer before comes before a newcomer.
        func isNew(_ host: HostName) -> Bool {
            former[host].map { $0?.publicKey != accepted[host]?.publicKey } ?? false
        }
        let next = rivals[address, default: []].filter { accepted[$0] != nil }
            .min { isNew($0) != isNew($1) ? isNew($1) : $0 < $1 }
        guard let next else { return }
        rivals.remove(next, from: address)
        holders[address] = next
        held[next, default: []].insert(address)
        moved.insert(next)
    }

    // MARK: - Steps

    private mutating func steps(former: [HostName: MeshIdentity?], moved: Set<HostName>) -> PeerSteps {
        var steps = PeerSteps()
        for (host, before) in former.sorted(by: { $0.key < $1.key }) where before != accepted[host] {
            steps.areHostsChanged = true
            if let before, before.publicKey != accepted[host]?.publicKey {
                steps.steps.append(.remove(publicKey: before.publicKey))
            }
        }
        for host in moved.union(former.keys).sorted() {
            guard let now = accepted[host] else { continue }
            let before = former[host, default: now]
            let isNew = before?.publicKey != now.publicKey
            let endpoint = isNew || before?.endpoint != now.endpoint ? now.endpoint : nil
            let addresses = isNew || moved.contains(host) ? [now.address] + held[host, default: []].sorted() : nil
            guard endpoint != nil || addresses != nil else { continue }
            work += addresses?.count ?? 0
            steps.steps.append(
                .set(publicKey: now.publicKey, isNew: isNew, endpoint: endpoint, addresses: addresses))
        }
        return steps
    }
}

extension Dictionary {
    fileprivate mutating func remove<Member>(_ member: Member, from key: Key) where Value == Set<Member> {
        self[key]?.remove(member)
        if self[key]?.isEmpty == true { self[key] = nil }
    }
}
