import Foundation
import RoostLinux
import RoostModel
import RoostRecords
import RoostWire
import Testing

@testable import RoostPostgresControl

/// A member's programs are anybody's: what they say is bounded before it goes to every host.
@Suite struct MemberBoundsTests {
    let member: MemberName
    let cluster: AppName

    init() throws {
        member = try MemberName("orders-1")
        cluster = try AppName("orders")
    }

    private func history(_ count: Int) -> [Reign] {
        (0..<count).map { Reign(epoch: Epoch(UInt64($0) + 1), leader: member, begin: LSN(UInt64($0))) }
    }

    private func rule(members: Int = 1, reigns: Int = 1, request: String = "a", refusal: String? = nil) throws
        -> ClusterRule
    {
        ClusterRule(
            epoch: .first, leader: member, members: try (1...members).map { try MemberName("orders-\($0)") },
            confirmations: 0,
            history: history(reigns),
            switchover: SwitchoverRequest(id: request, target: nil, refusal: refusal))
    }

    private func report(detail: String? = nil, reigns: Int = 0) -> MemberReport {
        MemberReport(
            member: member, role: .standby, state: .failed, promised: .first, position: nil, timeline: 1,
            replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, detail: detail,
            chain: history(reigns))
    }

    @Test func whatFitsPasses() throws {
        try MemberBounds.check(rule(members: 9, reigns: ClusterRule.historyMax), of: cluster)
        try MemberBounds.check(report(reigns: ClusterRule.historyMax), of: cluster)
        #expect(MemberBounds.cut(report(detail: "no space left")).detail == "no space left")
    }

    @Test func listsAreBounded() throws {
        #expect(throws: Refusal.self) { try MemberBounds.check(rule(members: 10), of: cluster) }
        #expect(throws: Refusal.self) { try MemberBounds.check(rule(reigns: ClusterRule.historyMax + 1), of: cluster) }
        #expect(throws: Refusal.self) {
            try MemberBounds.check(rule(request: String(repeating: "a", count: 65)), of: cluster)
        }
        #expect(throws: Refusal.self) {
            try MemberBounds.check(report(reigns: ClusterRule.historyMax + 1), of: cluster)
        }
        var knowing = report(reigns: ClusterRule.historyMax)
        knowing.knowledge = MemberKnowledge(
            opened: nil, history: history(ClusterRule.historyMax + 1), timeline: nil, position: nil)
        #expect(throws: Refusal.self) { try MemberBounds.check(knowing, of: cluster) }
    }

    @Test("Numbers from which others could not count on, or that they could not add up, are not written")
    func numbers() throws {
        let last = Epoch(.max)
        func isRefused(_ change: (inout MemberReport) -> Void) -> Bool {
            var said = report()
            change(&said)
            return (try? MemberBounds.check(said, of: cluster)) == nil
        }
        #expect(isRefused { $0.promised = last } && isRefused { $0.timeline = .max })
        // The next leader's timeline is one more.
        #expect(isRefused { $0.timeline = ClusterRule.timelineMax })
        #expect(!isRefused { $0.timeline = ClusterRule.timelineMax - 1 })
        #expect(isRefused { $0.lagBytes = .max } && isRefused { $0.sequence = .max })
        // A leader is judged by the lesser of the two.
        let end = Position(epoch: .first, end: LSN(500))
        for (replayed, refused) in [(500, false), (501, true)] as [(UInt64, Bool)] {
            #expect(isRefused { ($0.position, $0.replayed) = (end, LSN(replayed)) } == refused)
        }
        #expect(isRefused { $0.position = Position(epoch: last, end: .zero) } && isRefused { $0.replayed = LSN(.max) })
        #expect(isRefused { $0.chain = [Reign(epoch: last, leader: member, begin: .zero)] })
        var rule = try rule()
        rule.changes = .max
        #expect(
            isRefused {
                $0.knowledge = MemberKnowledge(
                    opened: nil, history: [], timeline: nil, position: nil, membership: Membership(of: rule))
            })
        #expect(throws: Refusal.self) { try MemberBounds.check(rule, of: cluster) }
        rule.changes = nil
        rule.recruitment = Recruitment(epoch: last, proposer: member, reason: .leaderSilent)
        #expect(throws: Refusal.self) { try MemberBounds.check(rule, of: cluster) }
        let view = StandbyView(member: member, isConfirming: true, behindBytes: .max)
        let beat = Heartbeat(epoch: .first, leader: member, sequence: 1, isOpen: true, standbys: [view])
        #expect(throws: Refusal.self) { try MemberBounds.check(beat) }
        let numbered = Heartbeat(epoch: .first, leader: member, sequence: .max, isOpen: true)
        #expect(throws: Refusal.self) { try MemberBounds.check(numbered) }
    }

    @Test("Whoever led is a member of this cluster by name, and reigns follow one another", arguments: [true, false])
    func reigns(ofRule: Bool) throws {
        func isRefused(_ reigns: [Reign]) throws -> Bool {
            var (rule, report) = (try self.rule(), self.report())
            rule.history = reigns
            report.chain = reigns
            do {
                if ofRule {
                    try MemberBounds.check(rule, of: cluster)
                } else {
                    try MemberBounds.check(report, of: cluster)
                }
                return false
            } catch {
                return true
            }
        }
        #expect(try !isRefused(history(3)))
        #expect(try isRefused(history(3).reversed()) && isRefused([history(1)[0], history(1)[0]]))
        for name in ["orders", "orders-0", "orders-02", "orders-1000", "others-1", "orders-x"] {
            let leader = try MemberName(name)
            #expect(try isRefused([Reign(epoch: .first, leader: leader, begin: .zero)]), "\(name)")
        }
        let stranger = try MemberName("others-1")
        var said = report()
        var rule = try rule()
        rule.members = [stranger]
        said.knowledge = MemberKnowledge(
            opened: nil, history: [], timeline: nil, position: nil, membership: Membership(of: rule))
        #expect(throws: Refusal.self) { try MemberBounds.check(said, of: cluster) }
        said.knowledge?.membership = nil
        try MemberBounds.check(said, of: cluster)
        said.knowledge?.opened = Reign(epoch: .first, leader: stranger, begin: .zero)
        #expect(throws: Refusal.self) { try MemberBounds.check(said, of: cluster) }
    }

    @Test("Words that would be long in a record are cut to what they are there; what was cut stays as it is")
    func wordsInARecord() throws {
        for word in ["\"", "\\", "\n", "/", "\u{1}", "ä", "🦆", "x"] {
            let text = String(repeating: word, count: 4000)
            let cut = MemberBounds.cut(text)
            #expect(MemberBounds.cut(cut) == cut)
            let bytes = try RecordCodec.write(report(detail: cut)).count - RecordCodec.write(report(detail: "")).count
            #expect(bytes <= MemberBounds.detailBytesMax + 8, "\(word)")
        }
        #expect(MemberBounds.cut("a\u{1b}[0m\nb") == "a [0m\nb")
    }

    @Test("Words are cut and the report is taken: it is needed all the same")
    func words() throws {
        let long = String(repeating: "ä", count: 40_000)
        let detail = try #require(MemberBounds.cut(report(detail: long)).detail)
        #expect(detail.utf8.count <= MemberBounds.detailBytesMax + 8)
        #expect(detail.hasPrefix("ää") && detail.hasSuffix("…"))
        let refusal = try #require(MemberBounds.cut(rule(refusal: long)).switchover?.refusal)
        #expect(refusal.utf8.count <= MemberBounds.detailBytesMax + 8)
    }

    @Test("A record is bounded as it is written, whatever is in it, and so is what a member writes in all")
    func bytes() throws {
        let allowance = ByteAllowance(MemberBounds.bytesPerSecondMax, burst: MemberBounds.burstBytesMax)
        let names = try (0..<2000).map { try MemberName("orders-\($0)") }
        let views = names.map { StandbyView(member: $0, isConfirming: true, behindBytes: 1) }
        let beat = Heartbeat(epoch: .first, leader: member, sequence: 1, isOpen: true, standbys: views)
        #expect(throws: Refusal.self) {
            try MemberBounds.check(bytes: try RecordCodec.write(beat).count, allowance)
        }
        let whole = try RecordCodec.write(rule(members: 9, reigns: ClusterRule.historyMax)).count
        #expect(whole <= MemberBounds.recordBytesMax * 3 / 4, "the largest that a member has to write")
        try MemberBounds.check(bytes: whole, allowance)
        var now = Moment.zero
        let fresh = ByteAllowance(1000, burst: 3000)
        #expect(fresh.take(3000, at: now) && !fresh.take(1, at: now))
        for _ in 0..<1000 {
            now = now + .milliseconds(1)
            _ = fresh.take(0, at: now)
        }
        #expect(!fresh.take(1001, at: now) && fresh.take(1000, at: now))
        now = now + .seconds(100_000)
        #expect(!fresh.take(3001, at: now) && fresh.take(3000, at: now))
    }

    @Test("A watch that has nothing to say says so, and ends with its changes")
    func watch() async throws {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self)
        var watch = MemberWatch(changes: changes, pauseMax: .milliseconds(20)) { nil }
        #expect(try await watch.next() == Data("\n".utf8))
        #expect(try await watch.next() == Data("\n".utf8))
        continuation.finish()
        var pieces = 0
        while try await watch.next() != nil { pieces += 1 }
        #expect(pieces < 1000)
    }
}
