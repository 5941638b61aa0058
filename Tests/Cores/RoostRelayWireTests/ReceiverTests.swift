import RoostModel
import Testing

@testable import RoostRelayWire

private func text(_ words: String...) -> [UInt8] { words.flatMap { Array($0.utf8) + [0] } }

private func startup(_ words: [String]) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: UInt32(3 << 16))
    for word in words { body.append(text: word) }
    body.append(0)
    var packet: [UInt8] = []
    packet.append(number: UInt32(body.count + 4))
    return packet + body
}

@Suite("What a receiver is answered")
struct ReceiverTests {
    private let upstream: RelayOrders.Upstream
    private let standing: ReceiverSession.Standing
    private static let words = [
        "user", "roost_replicator", "replication", "true", "application_name", "m2.e7",
    ]
    private static let start = "START_REPLICATION SLOT \"m2_e7\" 0/1400000 TIMELINE 3"
    private var password: [UInt8] { WireMessage("p", text("secret")).bytes }
    private var whole: [UInt8] {
        startup(Self.words) + password + WireMessage.query("IDENTIFY_SYSTEM").bytes
            + WireMessage.query(Self.start).bytes + [1, 2, 3]
    }

    init() throws {
        upstream = RelayOrders.Upstream(
            leader: try MemberName("m1"), stream: "m2.e7", system: 77, timeline: 3,
            held: HeldLog(end: LSN(0x15a_0010), timeline: 2, segmentBytes: 4 << 20))
        standing = .init(upstream: upstream, password: "secret", isWarm: true)
    }

    private func all(_ bytes: [UInt8], by size: Int, _ standing: ReceiverSession.Standing) -> [ReceiverSession.Action] {
        var session = ReceiverSession()
        return stride(from: 0, to: bytes.count, by: size).flatMap {
            session.read(bytes[$0..<min($0 + size, bytes.count)], standing)
        }
    }

    private func said(_ actions: [ReceiverSession.Action]) -> [UInt8] {
        actions.flatMap { if case .send(let bytes) = $0 { bytes } else { [UInt8]() } }
    }

    private func code(_ actions: [ReceiverSession.Action]) throws -> String? {
        var reader = MessageReader(bytesMax: 1 << 16)
        reader.append(said(actions))
        var last: String?
        while let message = try reader.next() { last = message.code ?? last }
        return last
    }

    @Test(
        "It is asked for the password, told what the leader has, and led on, however its bytes are cut",
        arguments: 1...9)
    func login(size: Int) throws {
        let actions = all(whole, by: size, standing)
        var reader = MessageReader(bytesMax: 1 << 16)
        reader.append(said(actions))
        var types = ""
        while let message = try reader.next() {
            types.append(Character(UnicodeScalar(message.type)))
            if message.type == UInt8(ascii: "D") {
                #expect(IdentityAnswer(row: message.body) == IdentityAnswer(system: 77, timeline: 3))
            }
        }
        #expect(types == "RRSSSZTDCZ")
        guard case .open(let request, let part, _) = actions.last(where: { if case .open = $0 { true } else { false } })
        else {
            Issue.record("nothing is carried on")
            return
        }
        #expect(request == StreamRequest(stream: "m2.e7", system: 77, timeline: 3, query: Self.start))
        #expect(part?.fileName == "000000020000000000000005")
        #expect(part?.bytes == 0x1a_0010)
        #expect(part.map { request.skipping($0).query } == "START_REPLICATION SLOT \"m2_e7\" 0/15A0010 TIMELINE 3")
    }

    @Test("What is said behind the request goes along, in one piece")
    func rest() {
        guard case .open(_, _, let rest)? = all(whole, by: 4096, standing).last else {
            Issue.record("nothing is carried on")
            return
        }
        #expect(rest == [1, 2, 3])
    }

    @Test("Who cannot be served is sent on to the leader itself")
    func elsewhere() throws {
        var cold = standing
        cold.isWarm = false
        #expect(try code(all(whole, by: 4096, cold)) == "57P03")
        var nobody = standing
        nobody.upstream = nil
        #expect(try code(all(whole, by: 4096, nobody)) == "57P03")
        for words in [
            ["user", "postgres", "replication", "true", "application_name", "m2.e7"],
            ["user", "roost_replicator", "application_name", "m2.e7"],
            ["user", "roost_replicator", "replication", "true", "application_name", "m2.e6"],
        ] {
            #expect(try code(all(startup(words), by: 4096, standing)) == "57P03", "\(words)")
        }
        for wrong in ["", "secre", "secret2"] {
            let actions = all(startup(Self.words) + WireMessage("p", text(wrong)).bytes, by: 4096, standing)
            #expect(try code(actions) == "57P03")
            #expect(actions.last == .end)
        }
    }

    @Test("One whose leader is another since its login is not led on")
    func changed() throws {
        var session = ReceiverSession()
        _ = session.read(startup(Self.words) + password, standing)
        var later = standing
        later.upstream?.stream = "m2.e8"
        let actions = session.read(WireMessage.query(Self.start).bytes, later)
        #expect(try code(actions) == "57P03")
        #expect(actions.last == .end)
    }

    @Test("Nonsense ends, and nothing long is kept", arguments: UInt64(0)..<200)
    func nonsense(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var session = ReceiverSession()
        var isOver = false
        let isLoggedIn = Bool.random(using: &random)
        if isLoggedIn { _ = session.read(startup(Self.words) + password, standing) }
        for _ in 0..<100 where !isOver {
            let bytes = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
            let actions = session.read(bytes, standing)
            isOver = actions.contains(.end)
            #expect(!actions.contains { if case .open = $0 { true } else { false } })
        }
        #expect(isOver)
    }

    @Test("Huge and impossible lengths end at once", arguments: [0, 3, 9000, 0x7fff_ffff, 0xffff_ffff] as [UInt32])
    func lengths(length: UInt32) {
        var session = ReceiverSession()
        _ = session.read(startup(Self.words), standing)
        var bytes: [UInt8] = [UInt8(ascii: "p")]
        bytes.append(number: length)
        #expect(session.read(bytes, standing).last == .end)
        var first: [UInt8] = []
        first.append(number: length == 9000 ? 10_001 : length)
        var other = ReceiverSession()
        #expect(other.read(first + [0, 0, 0, 0], standing).last == .end)
    }

    @Test("Only what fits exactly stands for the leader's bytes")
    func parts() {
        let held = HeldLog(end: LSN(0x15a_0010), timeline: 2, segmentBytes: 4 << 20)
        func part(_ position: UInt64, _ timeline: UInt32, _ held: HeldLog) -> HeldPart? {
            held.part(of: StreamStart(slot: "s", position: LSN(position), timeline: timeline), leads: 3)
        }
        #expect(part(0x140_0000, 3, held) != nil)
        #expect(part(0x140_0000, 2, held) != nil)
        #expect(part(0x140_0000, 1, held) == nil)
        #expect(part(0x140_0000, 4, held) == nil)
        #expect(part(0x140_0010, 3, held) == nil)
        #expect(part(0x100_0000, 3, held) == nil)
        #expect(part(0x180_0000, 3, held) == nil)
        for (end, size) in [(0, 4 << 20), (0x140_0000, 4 << 20), (0x15a_0010, 5 << 20), (0x15a_0010, 0)]
            as [(UInt64, UInt64)]
        {
            #expect(part(0x140_0000, 3, HeldLog(end: LSN(end), timeline: 2, segmentBytes: size)) == nil)
        }
        #expect(part(0x140_0000, 3, HeldLog(end: LSN(0x15a_0010), timeline: 4, segmentBytes: 4 << 20)) == nil)
    }
}
