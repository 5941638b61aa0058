import Foundation
import Glibc
import NIOCore
import RoostLinux
import RoostModel
import Testing

@testable import RoostStore

/// The rules by which etcd's answers are read, without an etcd.
@Suite("Reading etcd's answers")
struct EtcdRuleTests {
    struct Answer: Sendable, CustomTestStringConvertible {
        var status: UInt
        var body: String
        var onRead: StoreError.Code
        var onWrite: StoreError.Code
        var testDescription: String { "\(status) \(body)" }

        init(_ status: UInt, _ code: Int, _ message: String, _ onRead: StoreError.Code, _ onWrite: StoreError.Code) {
            self.init(status, #"{"error":"\#(message)","message":"\#(message)","code":\#(code)}"#, onRead, onWrite)
        }

        init(_ status: UInt, _ body: String, _ onRead: StoreError.Code, _ onWrite: StoreError.Code) {
            (self.status, self.body, self.onRead, self.onWrite) = (status, body, onRead, onWrite)
        }
    }

    @Test(
        "what is not known for sure is never a no",
        arguments: [
            Answer(503, 14, "etcdserver: request timed out", .unavailable, .outcomeUnknown),
            Answer(
                503, 14, "etcdserver: request timed out, possibly due to previous leader failure",
                .unavailable, .outcomeUnknown),
            Answer(503, 14, "etcdserver: server stopped", .unavailable, .outcomeUnknown),
            Answer(503, 14, "transport is closing", .unavailable, .outcomeUnknown),
            Answer(429, 8, "etcdserver: mvcc: database space exceeded", .unavailable, .outcomeUnknown),
            Answer(500, 2, "something new", .unavailable, .outcomeUnknown),
            Answer(504, 4, "context deadline exceeded", .unavailable, .outcomeUnknown),
            Answer(503, "<html>busy</html>", .unavailable, .outcomeUnknown),
            Answer(404, "", .unavailable, .outcomeUnknown),
            Answer(503, 14, "etcdserver: no leader", .unavailable, .unavailable),
            Answer(429, 8, "etcdserver: too many requests", .unavailable, .unavailable),
            Answer(500, 2, "raft proposal dropped", .unavailable, .unavailable),
            Answer(400, 3, "etcdserver: request is too large", .invalid, .invalid),
            Answer(404, 5, "etcdserver: requested lease not found", .leaseNotFound, .leaseNotFound),
            Answer(404, 5, "etcdserver: something else not found", .unavailable, .outcomeUnknown),
            Answer(400, 11, "etcdserver: mvcc: required revision has been compacted", .compacted, .compacted),
        ])
    func classes(answer: Answer) {
        let failure = EtcdFailure(status: answer.status, body: Array(answer.body.utf8))
        #expect(failure.storeError("try", effect: .reads).code == answer.onRead)
        #expect(failure.storeError("try", effect: .writes).code == answer.onWrite)
    }

    @Test("what broke on the way is said in words for people, with every bracket closed")
    func words() {
        for (code, words) in [(ECONNREFUSED, "Connection refused"), (ECONNRESET, "Connection reset by peer")] {
            #expect(EtcdWords.of(IOError(errnoCode: code, reason: "connect(descriptor:addr:size:)")) == words)
        }
    }

    @Test("lines are found however the bytes are cut", arguments: 1...9)
    func lines(size: Int) throws {
        let text = Array("one\ntwo\n\nthree\nrest".utf8)
        var lines = WatchLines()
        var found: [String] = []
        for start in stride(from: 0, to: text.count, by: size) {
            lines.append(ByteBuffer(bytes: text[start..<min(start + size, text.count)]))
            while let line = try lines.next() { found.append(String(buffer: line)) }
        }
        #expect(found == ["one", "two", "three"])
    }

    @Test("a line without an end is refused")
    func endlessLine() throws {
        var lines = WatchLines()
        lines.append(ByteBuffer(repeating: 65, count: WatchLines.lineBytesMax + 1))
        #expect(throws: EtcdFailure.self) { try lines.next() }
    }

    @Test("fragments become whole revisions")
    func fragments() throws {
        var assembly = WatchAssembly()
        var whole: [(Revision, Int)] = []
        for (revisions, isFragment) in [([5, 5, 6], true), ([6], true), ([6, 7], false), ([9], false)] {
            let outcome = try assembly.receive(try Self.answer(revisions, isFragment: isFragment))
            guard case .events(let events) = outcome else {
                Issue.record("expected events")
                return
            }
            whole += events.map { ($0.revision, $0.changes.count) }
        }
        #expect(whole.map(\.0.number) == [5, 6, 7, 9])
        #expect(whole.map(\.1) == [2, 3, 1, 1])
        #expect(throws: EtcdFailure.self) { try assembly.receive(try Self.answer([8], isFragment: false)) }
    }

    private static func answer(_ revisions: [Int], isFragment: Bool) throws -> EtcdWatchAnswer {
        let events = revisions.map { #"{"kv":{"key":"YQ==","mod_revision":"\#($0)"}}"# }.joined(separator: ",")
        let text = #"{"events":[\#(events)]\#(isFragment ? #","fragment":true"# : "")}"#
        return try JSONDecoder().decode(EtcdWatchAnswer.self, from: Data(text.utf8))
    }
}

@Suite("The lease table")
struct LeaseTableTests {
    @Test("a lease that is due can only end")
    func due() {
        var table = LeaseTable()
        let (a, b) = (LeaseID(1), LeaseID(2))
        let start = Moment(sinceBoot: .seconds(100))
        table.begin(a, timeToLive: .seconds(5), now: start)
        table.begin(b, timeToLive: .seconds(3), now: start)
        #expect(table.nextDeadline == start + .seconds(3))
        let isKept = (
            a: table.keepAlive(a, now: start + .seconds(4)), b: table.keepAlive(b, now: start + .seconds(3))
        )
        #expect(isKept == (true, false))
        #expect(table.due(now: start + .seconds(20)) == [b, a])
        #expect(table.due(now: start + .seconds(8)) == [b])
        #expect(!table.isAlive(b, now: start + .seconds(3)))
        table.end(b)
        #expect(table.nextDeadline == start + .seconds(9))
    }
}
