import RoostModel
import Testing

@testable import RoostRelayWire

@Suite("What the leader's side waits for")
struct SenderTests {
    private let request = StreamRequest(stream: "m2.e7", system: 77, timeline: 3, query: "START_REPLICATION x")
    private let begin = Moment(sinceBoot: .seconds(100))

    private func identity(_ system: UInt64 = 77, _ timeline: UInt32 = 3) -> SenderSession.Event {
        .read(IdentityAnswer(system: system, timeline: timeline).bytes)
    }

    private func asked(_ actions: [SenderSession.Action]) -> String? {
        guard case .toPostgres(let bytes)? = actions.last else { return nil }
        return String(decoding: bytes[5...].dropLast(), as: UTF8.self)
    }

    @Test(
        "It asks who Postgres is, then for the stream, and lets it through as it is, however it is cut",
        arguments: 1...6)
    func opening(size: Int) {
        var session = SenderSession(request, now: begin)
        #expect(session.beginning == [.login("m2.e7")])
        #expect(asked(session.receive(.loggedIn, now: begin)) == "IDENTIFY_SYSTEM")
        let answer = IdentityAnswer(system: 77, timeline: 3).bytes
        var actions: [SenderSession.Action] = []
        for place in stride(from: 0, to: answer.count, by: size) {
            actions += session.receive(.read(Array(answer[place..<min(place + size, answer.count)])), now: begin)
        }
        #expect(asked(actions) == "START_REPLICATION x")
        let stream = WireMessage("W", [0, 0, 0]).bytes + [100, 1, 2, 3]
        actions = []
        for place in stride(from: 0, to: stream.count, by: size) {
            actions += session.receive(.read(Array(stream[place..<min(place + size, stream.count)])), now: begin)
        }
        #expect(actions.first == .pass)
        let passed = actions.flatMap { if case .toPeer(let bytes) = $0 { bytes } else { [UInt8]() } }
        #expect(passed == stream)
        #expect(session.wakeAt == nil)
    }

    @Test("A Postgres that is about to lead is waited for: its login, its timeline, its slot")
    func patience() {
        var session = SenderSession(request, now: begin)
        var now = begin
        func wake() -> [SenderSession.Action] {
            now = session.wakeAt ?? now
            return session.receive(.tick, now: now)
        }
        #expect(session.receive(.loginFailed(.absent, "no socket"), now: now) == [])
        #expect(wake() == [.login("m2.e7")])
        _ = session.receive(.loggedIn, now: now)
        #expect(session.receive(identity(77, 2), now: now) == [])
        #expect(asked(wake()) == "IDENTIFY_SYSTEM")
        #expect(asked(session.receive(identity(), now: now)) == "START_REPLICATION x")
        let missing = WireMessage.error("42704", "no slot", severity: "ERROR").bytes
        #expect(session.receive(.read(missing + WireMessage.readyForQuery.bytes), now: now) == [])
        #expect(asked(wake()) == "IDENTIFY_SYSTEM")
        #expect(asked(session.receive(identity(), now: now)) == "START_REPLICATION x")
        #expect(now - begin < .milliseconds(100))
    }

    @Test("It waits no longer than it may, and says what Postgres said")
    func bound() {
        var session = SenderSession(request, now: begin)
        var now = begin
        var last: [SenderSession.Action] = []
        var turns = 0
        while last.last != .end, turns < 1000 {
            turns += 1
            last = session.receive(.loginFailed(.said("28000"), "no entry"), now: now)
            if last.isEmpty {
                now = session.wakeAt ?? now
                _ = session.receive(.tick, now: now)
            }
        }
        #expect(now - begin <= SenderSession.patience)
        #expect(last == [.toPeer(WireMessage.error("28000", "no entry").bytes), .end])
        var silent = SenderSession(request, now: begin)
        _ = silent.receive(.loggedIn, now: begin)
        #expect(silent.receive(.tick, now: begin + SenderSession.patience).last == .end)
    }

    @Test("A login that does not get better by being tried again is said at once", arguments: ["28P01", "53300", nil])
    func refusals(code: String?) {
        var session = SenderSession(request, now: begin)
        let refusal = code.map { SenderSession.Refusal.said($0) } ?? .other
        #expect(
            session.receive(.loginFailed(refusal, "no"), now: begin)
                == [.toPeer(WireMessage.error(code ?? "08006", "no").bytes), .end])
    }

    @Test("Another database, or a leader that went on without this one, is said at once")
    func others() {
        for answer in [identity(78, 3), identity(77, 4)] {
            var session = SenderSession(request, now: begin)
            _ = session.receive(.loggedIn, now: begin)
            #expect(session.receive(answer, now: begin).last == .end)
        }
    }

    @Test("An error of another kind is the receiver's to see, as it is")
    func errors() {
        var session = SenderSession(request, now: begin)
        _ = session.receive(.loggedIn, now: begin)
        _ = session.receive(identity(), now: begin)
        let error = WireMessage.error("58P01", "requested WAL segment has already been removed", severity: "ERROR")
            .bytes
        #expect(
            session.receive(.read(error + WireMessage.readyForQuery.bytes), now: begin)
                == [.pass, .toPeer(error + WireMessage.readyForQuery.bytes)])
    }

    @Test("A member is led to its own stream alone", arguments: ["m3.e7", "m2.e", "m2.e7x", "m22.e7", ""])
    func streams(name: String) throws {
        var reader = StreamRequestReader(from: try MemberName("m2"))
        let request = StreamRequest(stream: name, system: 1, timeline: 1, query: "q")
        guard let bytes = request.bytes else { return }
        #expect(reader.read(bytes) == .refused)
    }

    @Test("A request is the same however it is cut; nonsense and length are refused", arguments: 1...5)
    func requests(size: Int) throws {
        var reader = StreamRequestReader(from: try MemberName("m2"))
        let bytes = try #require(request.bytes) + [9, 9]
        var outcome = StreamRequestReader.Outcome.more
        var place = 0
        while outcome == .more, place < bytes.count {
            outcome = reader.read(bytes[place..<min(place + size, bytes.count)])
            place += size
        }
        guard case .request(let found, _) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(found == request)
        var huge = StreamRequestReader(from: try MemberName("m2"))
        #expect(huge.read([79, 0x7f, 0xff, 0xff, 0xff]) == .refused)
        #expect(
            StreamRequest(stream: "m2.e7", system: 1, timeline: 1, query: String(repeating: "q", count: 5000)).bytes
                == nil)
    }
}

@Suite("What a stream has brought for certain")
struct GrowthTests {
    private let start = StreamStart(slot: "s", position: LSN(1000), timeline: 3)

    private func log(_ count: Int, at begin: UInt64) -> [UInt8] {
        LogPiece.message([UInt8](repeating: 7, count: count), at: LSN(begin), end: LSN(0), sent: 0)
    }

    private func flushed(_ position: UInt64) -> [UInt8] {
        var body: [UInt8] = [UInt8(ascii: "r")]
        for _ in 0..<3 { body.append(number: position) }
        return WireMessage("d", body + [UInt8](repeating: 0, count: 9)).bytes
    }

    @Test("Flushed, and gone by before, however it is cut", arguments: [1, 3, 5, 1000])
    func growth(size: Int) {
        var growth = HeldGrowth(from: start, segmentBytes: 4 << 20)
        func cut(_ bytes: [UInt8], _ body: (ArraySlice<UInt8>) -> Void) {
            for place in stride(from: 0, to: bytes.count, by: size) {
                body(bytes[place..<min(place + size, bytes.count)])
            }
        }
        cut(flushed(1500)) { growth.said($0) }
        cut(log(300, at: 1000)) { growth.sent($0) }
        #expect(growth.held == nil, "what it says first is what it had before")
        cut(flushed(1600)) { growth.said($0) }
        #expect(growth.held?.end == LSN(1300), "no more than has gone by")
        cut(log(400, at: 1300)) { growth.sent($0) }
        #expect(growth.held == HeldLog(end: LSN(1600), timeline: 3, segmentBytes: 4 << 20))
        // The end of the timeline: what comes now may be of another.
        cut(WireMessage("c").bytes) { growth.sent($0) }
        cut(log(400, at: 1700)) { growth.sent($0) }
        cut(flushed(2100)) { growth.said($0) }
        #expect(growth.held?.end == LSN(1600))
    }

    @Test("Half a message has not gone by")
    func half() {
        var growth = HeldGrowth(from: start, segmentBytes: 4 << 20)
        growth.said(flushed(900)[...])
        growth.sent(log(300, at: 1000).dropLast())
        growth.said(flushed(1300)[...])
        #expect(growth.held == nil)
    }

    @Test("A position that no log can have shows nothing, and ends nothing")
    func tooFar() {
        var growth = HeldGrowth(from: start, segmentBytes: 4 << 20)
        growth.said(flushed(900)[...])
        growth.sent(log(300, at: 1000)[...])
        growth.sent(log(300, at: .max)[...])
        growth.said(flushed(1300)[...])
        #expect(growth.held == nil)
    }

    @Test("What is no protocol shows nothing", arguments: UInt64(0)..<50)
    func nonsense(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var growth = HeldGrowth(from: start, segmentBytes: 4 << 20)
        growth.sent([0, 0, 0, 0, 0])
        growth.sent(log(300, at: 1000)[...])
        growth.said(flushed(900)[...])
        growth.said((0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) }[...])
        growth.said(flushed(1300)[...])
        #expect(growth.held == nil)
    }

    @Test("The stream's acceptance is found, and all else passes as it is", arguments: 1...4)
    func opening(size: Int) {
        let accepted = WireMessage("W", [0, 0, 0]).bytes
        var opening = StreamOpening()
        var outcome = StreamOpening.Outcome.more
        let bytes = accepted + [1, 2]
        var place = 0
        while outcome == .more, place < bytes.count {
            outcome = opening.read(bytes[place..<min(place + size, bytes.count)])
            place += size
        }
        guard case .accepted(let answer, _) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(answer == accepted)
        for other in [WireMessage.error("XX000", "no").bytes, WireMessage("T", [1, 2]).bytes] {
            var opening = StreamOpening()
            #expect(opening.read(other) == .other(other))
        }
    }
}
