import RoostModel
import RoostWAN

/// What can be done to the packets between two parties of a lab.
public struct NetworkFault: Sendable, Hashable, Codable, CustomStringConvertible {
    public enum Effect: Sendable, Hashable, Codable {
        case cut
        case loss(percent: Double)
        /// Added in each direction that the fault covers.
        case delay(milliseconds: Double)

        var word: String {
            switch self {
            case .cut: "cut"
            case .loss: "loss"
            case .delay: "delay"
            }
        }
    }

    public var effect: Effect
    /// Hosts, regions, clients, providers or points of presence.
    public var from: String
    public var to: String
    /// Only what travels from `from` to `to`.
    public var isOneWay: Bool

    public static let delayMillisecondsMax = 10_000.0

    public init(_ effect: Effect, from: String, to: String, isOneWay: Bool = false) {
        self.effect = effect
        // Both ways is the same whoever is named first.
        let swaps = !isOneWay && to < from
        self.from = swaps ? to : from
        self.to = swaps ? from : to
        self.isOneWay = isOneWay
    }

    /// Also the rule's name: a fault of the same kind between the same two replaces the one before.
    public var key: String { "\(effect.word) \(from) \(isOneWay ? "->" : "<->") \(to)" }

    public var description: String {
        switch effect {
        case .cut: key
        case .loss(let percent): "\(key) \(percent)%"
        case .delay(let milliseconds): "\(key) \(milliseconds)ms"
        }
    }

    /// What the rule of a fault says; nil for a rule that is no fault of this kind.
    init?(_ rule: WANRule) {
        let words = rule.name.split(separator: " ").map(String.init)
        guard words.count == 4, words[2] == "->" || words[2] == "<->" else { return nil }
        switch words[0] {
        case "cut": effect = .cut
        case "loss": effect = .loss(percent: rule.lossPercent)
        case "delay": effect = .delay(milliseconds: Double(rule.delayMicroseconds) / 1000)
        default: return nil
        }
        from = words[1]
        to = words[3]
        isOneWay = words[2] == "->"
    }

    /// What is left of the fault when the way from `from` to `to` (and back, unless one way) is healed.
    func healed(from healedFrom: String, to healedTo: String, isOneWay healsOneWay: Bool) -> [NetworkFault] {
        guard Set([from, to]) == Set([healedFrom, healedTo]) else { return [self] }
        if !healsOneWay { return [] }
        if isOneWay { return from == healedFrom ? [] : [self] }
        return [NetworkFault(effect, from: healedTo, to: healedFrom, isOneWay: true)]
    }
}

extension LabPlan {
    /// Who a name in a fault stands for.
    enum Party: Hashable {
        case host(LabHost)
        case client(LabClient)
        case region(RegionCode)
        case provider(String)
        case pop(LabPop)
    }

    func party(_ name: String) throws(LabError) -> Party {
        if let host = hosts.first(where: { $0.name.text == name }) { return .host(host) }
        if let client = clients.first(where: { $0.name == name }) { return .client(client) }
        if let region = shape.regions.first(where: { $0.text == name }) { return .region(region) }
        if Self.providers.contains(name) { return .provider(name) }
        if let pop = pops.first(where: { $0.name == name }) { return .pop(pop) }
        let known = hosts.map(\.name.text) + clients.map(\.name) + shape.regions.map(\.text) + Self.providers
        throw LabError(
            .usage, "'\(name)' is no host, region, client or provider of the lab '\(shape.name)'",
            advice: "use one of \(known.joined(separator: ", "))")
    }

    /// The rule that makes the fault true.
    func rule(_ fault: NetworkFault) throws(LabError) -> WANRule {
        let from = try party(fault.from)
        let to = try party(fault.to)
        guard from != to else {
            throw LabError(.usage, "'\(fault.from)' is named twice", advice: "name two different parties")
        }
        var rule = WANRule(name: fault.key)
        var cutsLinks = false
        switch fault.effect {
        case .cut:
            rule.drops = true
            cutsLinks = true
        case .loss(let percent):
            guard percent > 0, percent <= 100 else {
                throw LabError(.usage, "\(percent) is no loss", advice: "use more than 0 and at most 100 percent")
            }
            rule.lossPercent = percent
        case .delay(let milliseconds):
            guard milliseconds > 0, milliseconds <= NetworkFault.delayMillisecondsMax else {
                throw LabError(
                    .usage, "\(milliseconds) is no delay",
                    advice: "use more than 0 and at most \(Int(NetworkFault.delayMillisecondsMax)) ms")
            }
            rule.delayMicroseconds = Int64(milliseconds * 1000)
        }
        if let sender = addresses(of: from), let receiver = addresses(of: to) {
            rule.flows = [WANFlow(from: sender, to: receiver)]
            if !fault.isOneWay { rule.flows.append(WANFlow(from: receiver, to: sender)) }
        }
        // Between parties with addresses a packet is caught once, by its addresses; a cut also takes the links
        // between regions down, so that routing sees it.
        if rule.flows.isEmpty || cutsLinks {
            rule.passages = passages(from: from, to: to)
            if !fault.isOneWay { rule.passages += passages(from: to, to: from) }
        }
        guard !rule.flows.isEmpty || !rule.passages.isEmpty else {
            throw LabError(
                .usage, "no link joins '\(fault.from)' and '\(fault.to)'",
                advice: "see 'roost lab status' for the links")
        }
        return rule
    }

    /// Sites and addresses of who has addresses of their own.
    private func addresses(of party: Party) -> WANParty? {
        switch party {
        case .host(let host):
            return WANParty(
                sites: [host.name.text], prefixes: (["\(host.underlay)"] + host.uplinks.map { "\($0.local)" }))
        case .client(let client):
            return WANParty(sites: [client.name], prefixes: ["\(client.address)", "\(client.uplink.local)"])
        case .region(let region):
            guard let index = shape.regions.firstIndex(of: region) else { return nil }
            let uplinks = Self.providers.indices.map { LabAddresses.uplinks(region: index + 1, provider: $0) }
            return WANParty(sites: customers(in: region), prefixes: [LabAddresses.region(index + 1)] + uplinks)
        case .provider, .pop:
            return nil
        }
    }

    private func customers(in region: RegionCode) -> [String] {
        hosts.filter { $0.region == region }.map(\.name.text) + clients.filter { $0.region == region }.map(\.name)
    }

    /// Directions of links that lead from one party to the other.
    private func passages(from: Party, to: Party) -> [WANPassage] {
        let senders = sites(of: from, towards: to)
        let receivers = sites(of: to, towards: from)
        return wan.links.flatMap { link in
            [(link.a.site, link.b.site), (link.b.site, link.a.site)].compactMap { start, end in
                senders.contains(start) && receivers.contains(end) ? WANPassage(link: link.name, from: start) : nil
            }
        }
    }

    /// Towards another region, a region's routers belong to it; towards a provider, its customers do.
    private func sites(of party: Party, towards other: Party) -> Set<String> {
        switch party {
        case .host(let host): return [host.name.text]
        case .client(let client): return [client.name]
        case .provider(let name): return Set(pops.filter { $0.provider == name }.map(\.name))
        case .pop(let pop): return [pop.name]
        case .region(let region):
            guard case .region = other else { return Set(customers(in: region)) }
            return Set(customers(in: region) + pops.filter { $0.region == region }.map(\.name))
        }
    }
}
