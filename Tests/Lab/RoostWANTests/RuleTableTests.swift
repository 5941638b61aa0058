import RoostModel
import Testing

@testable import RoostWAN

/// ams1 and ams2 hang on the provider's pop, client too; ams2 also answers an anycast address.
@Suite struct RuleTableTests {
    private let directions = ["ams1", "ams2", "client"].flatMap { site in
        [
            RuleTable.Direction(link: "pop~\(site)", from: site, to: "pop"),
            RuleTable.Direction(link: "pop~\(site)", from: "pop", to: site),
        ]
    }
    private let ams1 = WANParty(sites: ["ams1"], prefixes: ["198.18.1.11"])
    private let ams2 = WANParty(sites: ["ams2"], prefixes: ["198.18.1.12/32", "198.18.65.0/30"])
    private let client = WANParty(sites: ["client"], prefixes: ["198.18.1.200"])

    private func index(from: String, to: String) -> Int {
        directions.firstIndex { $0.from == from && $0.to == to } ?? -1
    }

    private func verdict(_ table: RuleTable, from: String, to: String, _ source: String, _ destination: String)
        -> RuleTable.Verdict
    {
        let direction = index(from: from, to: to)
        guard table.hasRules(direction) else { return .pass(extraDelayNanoseconds: 0) }
        var generator = SplitMix64(seed: 1)
        let bytes = packet(from: source, to: destination)
        return bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return .drop }
            return table.verdict(on: direction, packet: base, length: bytes.count, using: &generator)
        }
    }

    @Test func dropsOneDirectionWhereItLeaves() throws {
        var table = RuleTable(directions: directions)
        try table.add([WANRule(name: "cut", drops: true, flows: [WANFlow(from: ams1, to: ams2)])])
        #expect(verdict(table, from: "ams1", to: "pop", "198.18.1.11", "198.18.1.12") == .drop)
        #expect(verdict(table, from: "ams1", to: "pop", "198.18.1.11", "198.18.65.2") == .drop)
        let pass = RuleTable.Verdict.pass(extraDelayNanoseconds: 0)
        #expect(verdict(table, from: "pop", to: "ams2", "198.18.1.11", "198.18.1.12") == pass)
        #expect(verdict(table, from: "ams2", to: "pop", "198.18.1.12", "198.18.1.11") == pass)
        #expect(verdict(table, from: "ams1", to: "pop", "198.18.1.11", "198.18.1.200") == pass)
    }

    @Test func anycastIsRecognisedByTheSiteItReachesOrLeaves() throws {
        var table = RuleTable(directions: directions)
        try table.add([
            WANRule(
                name: "slow", delayMicroseconds: 5,
                flows: [WANFlow(from: client, to: ams2), WANFlow(from: ams2, to: client)])
        ])
        let pass = RuleTable.Verdict.pass(extraDelayNanoseconds: 0)
        let slow = RuleTable.Verdict.pass(extraDelayNanoseconds: 5000)
        #expect(verdict(table, from: "client", to: "pop", "198.18.1.200", "203.0.113.1") == pass)
        #expect(verdict(table, from: "pop", to: "ams2", "198.18.1.200", "203.0.113.1") == slow)
        #expect(verdict(table, from: "pop", to: "ams1", "198.18.1.200", "203.0.113.1") == pass)
        #expect(verdict(table, from: "ams2", to: "pop", "203.0.113.1", "198.18.1.200") == slow)
        #expect(verdict(table, from: "pop", to: "client", "203.0.113.1", "198.18.1.200") == pass)
        #expect(verdict(table, from: "client", to: "pop", "198.18.1.200", "198.18.1.12") == slow)
        #expect(verdict(table, from: "pop", to: "ams2", "198.18.1.200", "198.18.1.12") == pass)
    }

    @Test func aWholeLinkAndOverlappingRulesHealOneByOne() throws {
        var table = RuleTable(directions: directions)
        let passage = WANPassage(link: "pop~ams1", from: "ams1")
        try table.add([
            WANRule(name: "one", delayMicroseconds: 10, passages: [passage]),
            WANRule(name: "two", delayMicroseconds: 20, passages: [passage]),
        ])
        let both = RuleTable.Verdict.pass(extraDelayNanoseconds: 30_000)
        #expect(verdict(table, from: "ams1", to: "pop", "2001:db8::1", "2001:db8::2") == both)
        try table.remove(["one"])
        let second = RuleTable.Verdict.pass(extraDelayNanoseconds: 20_000)
        #expect(verdict(table, from: "ams1", to: "pop", "198.18.1.11", "198.18.1.12") == second)
        try table.remove(nil)
        #expect(table.rules.isEmpty)
        #expect(!table.hasRules(index(from: "ams1", to: "pop")))
    }

    @Test func refusesWhatItDoesNotKnowAndKeepsWhatWas() throws {
        var table = RuleTable(directions: directions)
        try table.add([WANRule(name: "good", drops: true, flows: [WANFlow(from: ams1, to: ams2)])])
        for wrong in [
            WANRule(name: "bad", passages: [WANPassage(link: "pop~ams1", from: "iad1")]),
            WANRule(name: "bad", lossPercent: 101),
            WANRule(name: "bad", delayMicroseconds: -1),
            WANRule(name: "bad", flows: [WANFlow(from: WANParty(sites: [], prefixes: ["198.18.1"]), to: ams1)]),
            WANRule(name: "bad", flows: [WANFlow(from: WANParty(sites: [], prefixes: ["198.18.1.0/33"]), to: ams1)]),
        ] {
            #expect(throws: WANError.self) { try table.add([wrong]) }
            #expect(table.rules.map(\.name) == ["good"])
        }
    }

    @Test func prefixesMatchTheirAddressesOnly() throws {
        func contains(_ prefix: String, _ address: String) throws -> Bool {
            let bytes = packet(from: address, to: address)
            let addresses = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.flatMap { PacketAddresses($0, length: bytes.count) }
            }
            return try AddressPrefix(prefix).contains(#require(addresses).source)
        }
        #expect(try contains("198.18.0.0/15", "198.19.255.255"))
        #expect(try !contains("198.18.0.0/15", "198.20.0.0"))
        #expect(try contains("0.0.0.0/0", "203.0.113.1"))
        #expect(try !contains("0.0.0.0/0", "2001:db8::1"))
        #expect(try contains("2001:db8::/32", "2001:db8:ffff::1"))
        #expect(try !contains("2001:db8::/64", "2001:db8:0:1::1"))
        #expect(try contains("2001:db8::1", "2001:db8::1"))
        #expect(try contains("::/0", "2001:db8::1"))
        let junk: [UInt8] = Array(repeating: 0xf0, count: 64)
        #expect(junk.withUnsafeBytes { $0.baseAddress.flatMap { PacketAddresses($0, length: 64) } } == nil)
    }

    @Test(arguments: [UInt64(1), 7, 42]) func lossIsSeededAndAboutRight(seed: UInt64) {
        let threshold = Loss.threshold(percent: 5)
        func losses() -> [Bool] {
            var generator = SplitMix64(seed: seed)
            return (0..<20_000).map { _ in Loss.happens(threshold, using: &generator) }
        }
        let first = losses()
        #expect(first == losses())
        #expect((800...1200).contains(first.count { $0 }))
        var generator = SplitMix64(seed: seed)
        let all = Loss.threshold(percent: 100)
        #expect((0..<1000).allSatisfy { _ in Loss.happens(all, using: &generator) })
    }
}

/// The first bytes of an IPv4 or IPv6 packet.
func packet(from source: String, to destination: String) -> [UInt8] {
    if source.contains(":") {
        return [0x60] + Array(repeating: 0, count: 7) + sixteen(source) + sixteen(destination)
    }
    return [0x45] + Array(repeating: 0, count: 11) + four(source) + four(destination)
}

private func four(_ text: String) -> [UInt8] { text.split(separator: ".").compactMap { UInt8($0) } }

private func sixteen(_ text: String) -> [UInt8] {
    var halves = text.split(separator: "::", omittingEmptySubsequences: false).map { half in
        half.split(separator: ":").compactMap { UInt16($0, radix: 16) }
    }
    if halves.count == 1 { halves.append([]) }
    let zeros = [UInt16](repeating: 0, count: 8 - halves[0].count - halves[1].count)
    return (halves[0] + zeros + halves[1]).flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
}
