import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire
import Testing

@testable import RoostRelay

@Suite("The near side of a relay", .timeLimit(.minutes(2)))
struct NearSideTests {
    /// Up to the first piece of the log: the leader has accepted, and been asked for what the follower has not.
    private func streaming(_ bench: RelayBench, held: Int) throws -> (leader: RelayBench.End, receiver: RelayBench.End)
    {
        let leader = try bench.warm()
        let (_, receiver) = try bench.receiver()
        receiver.link.put(WireMessage.query(RelayBench.start(5 << 20, timeline: 3).query).bytes)
        var reader = StreamRequestReader(from: try MemberName(RelayBench.follower))
        let request = try bench.wait([leader.link]) { () -> StreamRequest? in
            guard case .bytes(let bytes) = leader.link.read(), case .request(let request, _) = reader.read(bytes) else {
                return nil
            }
            return request
        }
        #expect(request.query == RelayBench.start(5 << 20 + held, timeline: 3).query)
        leader.link.put(WireMessage("W", [0, 0, 0]).bytes)
        #expect(try bench.message(receiver).type == "W")
        return (leader, receiver)
    }

    @Test("What the member has of the segment comes from its own disk, and the rest from the leader")
    func ownLog() throws {
        let held = 300_001
        let bench = try RelayBench(member: RelayBench.follower, held: held)
        let (leader, receiver) = try streaming(bench, held: held)
        leader.link.put(
            LogPiece.message([1, 2, 3], at: LSN(UInt64(5 << 20 + held)), end: LSN(UInt64(6 << 20)), sent: 0))
        var log: [UInt8] = []
        while log.count < held + 3 {
            let piece = try bench.message(receiver)
            #expect(piece.type == "d" && piece.body.first == UInt8(ascii: "w"))
            let position = piece.body[1..<9].reduce(0) { $0 << 8 | Int($1) }
            #expect(position == 5 << 20 + log.count)
            log += piece.body[25...]
        }
        // The leader was not asked for a byte of it: these are the file's.
        #expect(log == RelayBench.log.prefix(held) + [1, 2, 3])
    }

    @Test(
        "After a timeline's end a receiver asks anew over the same stream: all passes as it is, nothing is handed out")
    func secondRequest() throws {
        let bench = try RelayBench(member: RelayBench.follower, held: 100)
        let (leader, receiver) = try streaming(bench, held: 100)
        #expect(try bench.message(receiver).type == "d")
        leader.link.put(WireMessage("c").bytes)
        #expect(try bench.message(receiver).type == "c")
        let second =
            WireMessage("c").bytes + WireMessage.query("IDENTIFY_SYSTEM").bytes
            + WireMessage.query(RelayBench.start(5 << 20, timeline: 3).query).bytes
        receiver.link.put(second)
        _ = try bench.wait([leader.link]) { leader.read().count >= second.count ? true : nil }
        #expect(leader.bytes == second)
        let answer =
            WireMessage("W", [0, 0, 0]).bytes
            + LogPiece.message([7], at: LSN(UInt64(5 << 20)), end: LSN(UInt64(6 << 20)), sent: 0)
        leader.link.put(answer)
        _ = try bench.wait([receiver.link]) { receiver.read().count >= answer.count ? true : nil }
        #expect(receiver.bytes == answer)
    }

    @Test(
        "A stream that the leader's side ends within seconds sends the next receivers straight, the receiver's own end does not"
    )
    func trust() throws {
        for isLeaders in [true, false] {
            let bench = try RelayBench(member: RelayBench.follower, held: 100)
            let (leader, receiver) = try streaming(bench, held: 100)
            #expect(try bench.message(receiver).type == "d")
            (isLeaders ? leader : receiver).link.close()
            _ = try bench.wait { bench.parties.contains { $0 is ReceiverParty && $0.isOver } ? true : nil }
            #expect(bench.desk.trust.isGiven(BootClock.now()) == !isLeaders)
        }
    }

    @Test("A leader that says what no log can be ends nobody's relay")
    func nonsense() throws {
        let bench = try RelayBench(member: RelayBench.follower, held: 100)
        let (leader, receiver) = try streaming(bench, held: 100)
        #expect(try bench.message(receiver).type == "d")
        leader.link.put(LogPiece.message([7, 7], at: LSN(UInt64.max), end: LSN(0), sent: 0))
        #expect(try bench.message(receiver).type == "d")
    }

    @Test("What is known of a stream ends with the time of following, also when the orders between were never seen")
    func following() throws {
        let bench = try RelayBench(member: RelayBench.follower, held: 100)
        let (leader, receiver) = try streaming(bench, held: 100)
        let upstream = try #require(bench.orders.upstream)
        let grown = HeldLog(end: LSN(UInt64(5 << 20 + 900)), timeline: 3, segmentBytes: UInt64(RelayBench.segmentBytes))
        bench.desk.note(grown, of: upstream)
        #expect(bench.desk.standing(BootClock.now()).upstream?.held == grown)
        bench.order { $0.upstream?.following += 1 }
        #expect(bench.desk.standing(BootClock.now()).upstream?.held == upstream.held)
        bench.desk.note(grown, of: upstream)
        #expect(bench.desk.standing(BootClock.now()).upstream?.held == upstream.held)
        // And the stream of before is no stream any more.
        _ = try bench.wait([receiver.link, leader.link]) {
            bench.parties.contains { $0 is ReceiverParty && $0.isOver } ? true : nil
        }
    }

    @Test("Of several orders the last counts; what is none ends the relay")
    func orders() throws {
        let bench = try RelayBench(member: RelayBench.follower)
        let (ours, theirs) = try UnixSocket.pair()
        let supervisor = Link(theirs)
        let input = OrdersInput(ours, ours)
        defer { close(ours) }
        var later = bench.orders
        (later.number, later.upstream) = (2, nil)
        for orders in [bench.orders, later] {
            supervisor.put(try JSONFile.encode(orders) + [UInt8(ascii: "\n")])
        }
        Readiness.wait(for: [input.link], until: BootClock.now() + .seconds(5))
        guard case .orders(let found) = try input.read() else {
            Issue.record("no orders")
            return
        }
        #expect(found == later)
        supervisor.put(Array("{\"number\":3}\n".utf8))
        Readiness.wait(for: [input.link], until: BootClock.now() + .seconds(5))
        #expect(throws: SystemError.self) { try input.read() }
    }

    @Test("Only a file of a whole segment is handed out")
    func files() throws {
        let bench = try RelayBench(member: RelayBench.follower, held: 100)
        let part = try #require(
            bench.orders.upstream?.held?.part(of: RelayBench.start(5 << 20, timeline: 3), leads: 3))
        #expect(HeldReading(part, in: bench.folder) != nil)
        #expect(truncate("\(bench.folder)/\(part.fileName)", 100) == 0)
        #expect(HeldReading(part, in: bench.folder) == nil)
        unlink("\(bench.folder)/\(part.fileName)")
        #expect(HeldReading(part, in: bench.folder) == nil)
    }
}

@Suite("The far side of a relay", .timeLimit(.minutes(2)))
struct FarSideTests {
    /// Postgres's socket, at which the test answers.
    private func postgres(_ bench: RelayBench) throws -> Link {
        Link(try UnixSocket.listen("\(bench.folder)/.s.PGSQL.5432"))
    }

    private func accepted(_ listener: Link) -> RelayBench.End? {
        let file = accept(listener.file, nil, nil)
        return file < 0 ? nil : RelayBench.End(Link(file))
    }

    @Test("Where nobody listens for Postgres it is tried again in a moment, and reached as soon as somebody does")
    func absent() throws {
        let bench = try RelayBench(member: RelayBench.leader)
        let (party, end) = try bench.called()
        try bench.ask(end)
        for _ in 0..<3 {
            _ = try bench.wait { party.isStream ? true : nil }
            let wakeAt = try #require(party.wakeAt)
            #expect(wakeAt - BootClock.now() <= .milliseconds(20))
            bench.turn(until: wakeAt)
        }
        let listener = try postgres(bench)
        _ = try bench.wait([listener]) { accepted(listener) }
    }

    @Test(
        "What does not pass is the receiver's to see at once; a Postgres that starts, or does not lead yet, is tried again"
    )
    func refusals() throws {
        for (code, isPassing) in [("53300", false), ("28P01", false), ("57P03", true), ("28000", true)] {
            let bench = try RelayBench(member: RelayBench.leader)
            let listener = try postgres(bench)
            let (_, end) = try bench.called()
            try bench.ask(end)
            for _ in 0..<(isPassing ? 3 : 1) {
                let session = try bench.wait([listener]) { accepted(listener) }
                _ = try bench.wait([session.link]) { session.read().isEmpty ? nil : true }
                session.link.put(WireMessage.error(code, "it is so").bytes)
            }
            guard !isPassing else { continue }
            let answer = try bench.message(end)
            #expect(answer.type == "E")
            #expect(answer.body.split(separator: 0).contains(Array("C\(code)".utf8)[...]))
            #expect(accepted(listener) == nil)
        }
    }

    @Test("SQLSTATE is found in libpq's words")
    func words() {
        let at = "connection to server on socket \"/run/.s.PGSQL.5432\" failed: "
        #expect(LocalLogin.refusal(in: at + "FATAL:  28P01: no\nLOCATION:  f, auth.c:1\n") == .said("28P01"))
        #expect(LocalLogin.refusal(in: at + "No such file or directory\n\tIs the server running?") == .absent)
        #expect(LocalLogin.refusal(in: at + "Connection refused\n\tIs the server running?") == .absent)
        #expect(LocalLogin.refusal(in: at + "fe_sendauth: no password supplied\n") == .other)
        #expect(LocalLogin.refusal(in: "") == .other)
    }

    @Test("A member's later request takes the place of its former one, and strangers to it keep nobody away")
    func places() throws {
        let bench = try RelayBench(member: RelayBench.leader)
        let listener = try postgres(bench)
        var called: [CalledParty] = []
        var ends: [RelayBench.End] = []
        for (member, stream) in [("m2", "m2.e7"), ("m3", "m3.e7"), ("m2", "m2.e7")] {
            let (party, end) = try bench.called(by: member)
            try bench.ask(end, as: stream)
            _ = try bench.wait([listener]) { party.isStream ? true : nil }
            called.append(party)
            ends.append(end)
        }
        #expect(ends.allSatisfy { !$0.link.isClosed })
        #expect(
            CalledParty.superseded(called, streamsMax: 8).map(ObjectIdentifier.init) == [ObjectIdentifier(called[0])])
        let few = CalledParty.superseded(called, streamsMax: 1).map(ObjectIdentifier.init)
        #expect(few == [ObjectIdentifier(called[0]), ObjectIdentifier(called[1])])
        let (m2, m3) = ([try MemberName("m2")], [try MemberName("m3")])
        var proving: [CalledParty] = []
        for _ in 0..<Relay.provingEachMax {
            #expect(!Relay.isFull(proving, of: m2))
            proving.append(
                CalledParty(try bench.pair().0, bench.desk, own: try MemberName("m1"), mayBe: m2, now: .zero))
        }
        #expect(Relay.isFull(proving, of: m2))
        #expect(!Relay.isFull(proving, of: m3))
    }

    @Test("One that was closed touches no descriptor any more, whoever has its number since")
    func closed() throws {
        let bench = try RelayBench(member: RelayBench.leader)
        let listener = try postgres(bench)
        let (party, end) = try bench.called()
        try bench.ask(end)
        let session = try bench.wait([listener]) { accepted(listener) }
        _ = try bench.wait([session.link]) { session.read().isEmpty ? nil : true }
        session.link.put(WireMessage("R", [0, 0, 0, 0]).bytes + WireMessage("Z", [UInt8(ascii: "I")]).bytes)
        session.bytes = []
        while try bench.message(session).type != "Q" {}
        let login = try #require(party.links.last)
        party.close()
        #expect(party.links.isEmpty && login.isClosed)
        var others: [(Link, RelayBench.End)] = []
        while !others.contains(where: { $0.0.file == login.file || $0.1.link.file == login.file }), others.count < 20 {
            others.append(try bench.pair())
        }
        for (link, end) in others {
            link.put([1])
            end.link.put([1])
        }
        login.ready = Int32(POLLIN)
        party.act(BootClock.now())
        for (link, end) in others {
            guard case .bytes = end.link.read(), case .bytes = link.read() else {
                Issue.record("something of another's was read")
                return
            }
        }
    }

    @Test("A member is answered whether somebody is there, before its request")
    func questions() throws {
        let bench = try RelayBench(member: RelayBench.leader)
        let (party, end) = try bench.called()
        for _ in 0..<3 {
            var watch = WarmWatch(BootClock.now())
            guard case .ask(let question) = watch.tick(watch.wakeAt) else {
                Issue.record("nothing is asked")
                return
            }
            end.link.put(question)
            let answer = try bench.wait([end.link]) { end.read().count >= 5 ? end.bytes : nil }
            end.bytes = []
            #expect(watch.read(answer, now: BootClock.now()) == true)
            #expect(party.isIdle)
        }
    }
}

@Suite("The wait of a relay") struct ReadinessTests {
    @Test("A hang-up that nobody can take now wakes it once, not again and again")
    func hangUp() throws {
        let (ours, theirs) = try UnixSocket.pair()
        let link = Link(ours)
        link.isReading = false
        close(theirs)
        let end = BootClock.now() + .milliseconds(300)
        var turns = 0
        while BootClock.now() < end {
            Readiness.wait(for: [link], until: end)
            turns += 1
        }
        #expect(turns <= 3)
        // It is still to be read once there is room.
        link.isReading = true
        Readiness.wait(for: [link], until: BootClock.now() + .seconds(5))
        #expect(link.isReadable)
    }
}
