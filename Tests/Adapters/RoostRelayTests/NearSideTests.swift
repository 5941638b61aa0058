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
