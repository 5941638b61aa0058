import RoostModel

/// The rules as the path of a packet needs them: for each direction of each link, the few that can match there.
struct RuleTable {
    /// One direction of one link, by the sites at its ends.
    struct Direction {
        var link: String
        var from: String
        var to: String
    }

    enum Verdict: Equatable {
        case drop
        case pass(extraDelayNanoseconds: Int64)
    }

    private enum Match {
        case everything
        /// Leaves the site of the sender, for the receiver's own addresses.
        case leaving(to: [AddressPrefix])
        /// Reaches the site of the receiver, from the sender's own addresses, for an address that is not the
        /// receiver's own (anycast). What is for its own was caught where it left.
        case reaching(from: [AddressPrefix], own: [AddressPrefix])
    }

    private struct Entry {
        var match: Match
        var drops: Bool
        var lossThreshold: UInt64
        var delayNanoseconds: Int64
    }

    static let rulesMax = 4096

    private(set) var rules: [WANRule] = []
    private var entries: [[Entry]]
    private let directions: [Direction]

    init(directions: [Direction]) {
        self.directions = directions
        entries = Array(repeating: [], count: directions.count)
    }

    func hasRules(_ direction: Int) -> Bool { !entries[direction].isEmpty }

    /// Adds or replaces all of them, or none.
    mutating func add(_ added: [WANRule]) throws(WANError) {
        let names = Set(added.map(\.name))
        try set(rules.filter { !names.contains($0.name) } + added)
    }

    mutating func remove(_ names: [String]?) throws(WANError) {
        guard let names else { return try set([]) }
        let gone = Set(names)
        try set(rules.filter { !gone.contains($0.name) })
    }

    private mutating func set(_ wanted: [WANRule]) throws(WANError) {
        guard wanted.count <= Self.rulesMax else { throw WANError("more than \(Self.rulesMax) rules") }
        var compiled: [[Entry]] = Array(repeating: [], count: directions.count)
        for rule in wanted {
            for (index, match) in try matches(of: rule) {
                compiled[index].append(
                    Entry(
                        match: match, drops: rule.drops,
                        lossThreshold: Loss.threshold(percent: rule.lossPercent),
                        delayNanoseconds: rule.delayMicroseconds * 1000))
            }
        }
        rules = wanted
        entries = compiled
    }

    private func matches(of rule: WANRule) throws(WANError) -> [(Int, Match)] {
        guard (0...100).contains(rule.lossPercent) else {
            throw WANError("rule '\(rule.name)': loss must be 0 to 100 percent")
        }
        guard (0...WANDirection.delayMicrosecondsMax).contains(rule.delayMicroseconds) else {
            throw WANError("rule '\(rule.name)': delay must be 0 to \(WANDirection.delayMicrosecondsMax) µs")
        }
        var found: [(Int, Match)] = []
        for passage in rule.passages {
            guard let index = directions.firstIndex(where: { $0.link == passage.link && $0.from == passage.from })
            else { throw WANError("rule '\(rule.name)': no link '\(passage.link)' from '\(passage.from)'") }
            found.append((index, .everything))
        }
        for flow in rule.flows {
            var senders: [AddressPrefix] = []
            var receivers: [AddressPrefix] = []
            for text in flow.from.prefixes { senders.append(try AddressPrefix(text)) }
            for text in flow.to.prefixes { receivers.append(try AddressPrefix(text)) }
            for (index, direction) in directions.enumerated() {
                if flow.from.sites.contains(direction.from) { found.append((index, .leaving(to: receivers))) }
                if flow.to.sites.contains(direction.to) {
                    found.append((index, .reaching(from: senders, own: receivers)))
                }
            }
        }
        return found
    }

    func verdict(
        on direction: Int, packet: UnsafeRawPointer, length: Int, using generator: inout SplitMix64
    ) -> Verdict {
        let addresses = PacketAddresses(packet, length: length)
        var delay: Int64 = 0
        for entry in entries[direction] where Self.applies(entry.match, to: addresses) {
            if entry.drops || Loss.happens(entry.lossThreshold, using: &generator) { return .drop }
            delay += entry.delayNanoseconds
        }
        return .pass(extraDelayNanoseconds: delay)
    }

    private static func applies(_ match: Match, to addresses: PacketAddresses?) -> Bool {
        switch match {
        case .everything:
            return true
        case .leaving(let to):
            guard let addresses else { return false }
            return to.contains { $0.contains(addresses.destination) }
        case .reaching(let from, let own):
            guard let addresses else { return false }
            return from.contains { $0.contains(addresses.source) }
                && !own.contains { $0.contains(addresses.destination) }
        }
    }
}
