import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire
import Testing

@testable import RoostRelay

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
