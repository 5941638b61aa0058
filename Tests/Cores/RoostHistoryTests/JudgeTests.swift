import RoostModel
import Testing

@testable import RoostHistory

@Suite struct JudgeTests {
    private let judge = HistoryJudge(displacedReadsMax: GeneratedHistory.displacedMax)

    // MARK: - Generated histories

    @Test func aHistoryThatCanBeIsPassed() {
        var displaced = Duration.zero
        for seed: UInt64 in 1...30 {
            let verdict = judge.judge(GeneratedHistory(seed: seed).entries, hasEnded: true)
            #expect(verdict.findings.isEmpty, "seed \(seed): \(verdict.findings.prefix(3))")
            #expect(verdict.counts.confirmed > 100 && verdict.counts.unknown > 0 && verdict.counts.failed > 0)
            #expect(verdict.replicaLagMax > .milliseconds(100))
            displaced = max(displaced, verdict.displacedLagMax)
        }
        // They do have reads at primaries of before, so that passing them means something.
        #expect(displaced > .milliseconds(500))
    }

    @Test(arguments: GeneratedHistory.Anomaly.allCases)
    func anAnomalyIsFound(_ anomaly: GeneratedHistory.Anomaly) throws {
        var planted = 0
        for seed: UInt64 in 1...20 {
            var history = GeneratedHistory(seed: seed)
            guard let element = history.plant(anomaly) else { continue }
            planted += 1
            let findings = judge.judge(history.entries, hasEnded: true).findings
            let finding = findings.first { $0.kind == anomaly.kind && $0.element == element }
            guard let found = finding else {
                Issue.record("seed \(seed): \(anomaly) of \(element) is not among \(findings.prefix(5))")
                continue
            }
            let lines = HistoryText(history.entries).lines(of: found)
            #expect(lines.count { $0.hasPrefix(">>") } == 1, "\(lines)")
        }
        #expect(planted >= 10, "only \(planted) histories had a place for it")
    }

    @Test func theSameHistoryHasTheSameFindings() throws {
        var history = GeneratedHistory(seed: 5)
        let planted = history.plant(.confirmedIsGone)
        try #require(planted != nil)
        let first = judge.judge(history.entries, hasEnded: true)
        #expect(judge.judge(history.entries.reversed(), hasEnded: true) == first)
        #expect(!first.findings.isEmpty)
    }

    // MARK: - Histories made by hand

    private func write(
        _ element: Int64, _ begin: Int64, _ end: Int64?, _ outcome: HistoryEntry.Outcome = .confirmed,
        _ action: HistoryEntry.Action = .append, timeline: UInt32 = 1
    ) -> HistoryEntry {
        var entry = HistoryEntry(
            worker: "w", number: Int(element), port: HistoryPort.primary, session: 1, action: action, keyNumber: 7,
            elements: [element], begin: begin)
        (entry.end, entry.outcome) = (end, outcome)
        entry.timeline = outcome == .confirmed ? timeline : nil
        return entry
    }

    private func read(
        _ elements: [Int64], _ begin: Int64, _ worker: String = "r", port: UInt16 = HistoryPort.primary,
        session: Int = 1, timeline: UInt32? = 1, action: HistoryEntry.Action = .readList, isFinal: Bool = false
    ) -> HistoryEntry {
        var entry = HistoryEntry(
            worker: worker, number: Int(begin), port: port, session: session, action: action, keyNumber: 7,
            elements: elements, begin: begin, isFinal: isFinal)
        (entry.end, entry.outcome, entry.timeline) = (begin + 5, .confirmed, timeline)
        return entry
    }

    private func kinds(_ entries: [HistoryEntry], hasEnded: Bool = true) -> [String] {
        judge.judge(entries, hasEnded: hasEnded).findings.map { "\($0.kind.rawValue) \($0.element)" }
    }

    private func last(_ elements: [Int64]) -> HistoryEntry {
        read(elements, 1_000_000_000, "last", timeline: 9, isFinal: true)
    }

    @Test func whatIsConcurrentMayBeSeenOrNot() {
        let write = write(1, 10, 30)
        for elements: [Int64] in [[], [1]] {
            #expect(kinds([write, read(elements, 10), last([1])]) == [])
            #expect(kinds([write, read(elements, 30), last([1])]) == [], "they touch")
        }
        #expect(kinds([write, read([], 31), last([1])]) == ["stale 1"])
        #expect(kinds([write, read([1], 31), last([1])]) == [])
    }

    @Test func anUnknownWriteMayComeLateOrNever() {
        let write = write(1, 10, nil, .unknown)
        #expect(kinds([write, last([])]) == [])
        #expect(kinds([write, read([], 500_000), last([1])]) == [])
        #expect(kinds([write, read([1], 100), last([1])]) == [])
        #expect(kinds([write, read([1], 100), last([])]) == ["vanished 1"])
        #expect(
            kinds([write, read([1], 100), read([], 200, "other"), last([1])]) == ["stale 1"], "the primary showed it")
        #expect(
            kinds([write, read([1], 100, port: 5433, timeline: nil), read([], 200, "other"), last([1])]) == [],
            "a replica may show what the primary has not heard of yet")
    }

    @Test func withoutTheLastReadNothingIsLost() {
        let entries = [write(1, 10, 20), write(2, 30, 40), read([9], 20)]
        #expect(kinds(entries, hasEnded: false) == ["phantom 9"])
        #expect(kinds(entries) == ["lost 1", "lost 2", "phantom 9"], "a table without a row is empty")
    }

    @Test func aPrimaryThatWasReplacedMayAnswerReadsForAWhileOnly() {
        let write = write(1, 10, 20, timeline: 2)
        let max = GeneratedHistory.displacedMax.milliseconds * 1000
        let verdict = judge.judge([write, read([], 20 + max, timeline: 1), last([1])], hasEnded: true)
        #expect(verdict.findings.isEmpty)
        #expect(verdict.displacedLagMax == GeneratedHistory.displacedMax)
        #expect(kinds([write, read([], 21 + max, timeline: 1), last([1])]) == ["stale 1"])
        #expect(kinds([write, read([], 21 + max, timeline: nil), last([1])]) == ["stale 1"])
        #expect(kinds([write, read([], 22, timeline: 2), last([1])]) == ["stale 1"])
        #expect(kinds([write, read([], 22, timeline: 3), last([1])]) == ["stale 1"])
        #expect(kinds([write, read([], 21 + max, port: 5433, timeline: nil), last([1])]) == [])
    }

    @Test func sessionsOfReplicasGoForwardOnly() {
        let writes = [write(1, 10, 20), write(2, 30, 40)]
        let first = read([1, 2], 50, port: 5433, timeline: nil)
        #expect(kinds(writes + [first, read([1], 60, port: 5433, timeline: nil), last([1, 2])]) == ["backwards 2"])
        #expect(
            kinds(writes + [first, read([1], 60, port: 5433, session: 2, timeline: nil), last([1, 2])]) == [],
            "another connection, perhaps to another replica")
        #expect(kinds(writes + [first, read([1], 60, "other", port: 5433, timeline: nil), last([1, 2])]) == [])
    }

    @Test func aSetHasNoOrderAndAListHas() {
        let sets = [write(1, 10, 20, .confirmed, .insert), write(2, 10, 20, .confirmed, .insert)]
        let end = read([2, 1], 900, "last", action: .readSet, isFinal: true)
        #expect(kinds(sets + [read([1, 2], 30, action: .readSet), end]) == [])
        let lists = [write(1, 10, 20), write(2, 10, 20)]
        #expect(kinds(lists + [read([1, 2], 30), last([2, 1])]) == ["disordered 1"])
        #expect(kinds(lists + [read([2], 12), read([2, 1], 30, "other"), last([2, 1])]) == [])
        #expect(kinds(lists + [read([1], 12), last([2, 1])]) == ["disordered 1"], "never was it so")
    }

    @Test func aListAndASetOfOneNumberAreTwo() {
        let entries = [write(1, 10, 20), write(2, 10, 20, .confirmed, .insert)]
        let ends = [last([1]), read([2], 1000, "last", action: .readSet, isFinal: true)]
        #expect(kinds(entries + ends) == [])
        #expect(kinds(entries + [last([1])]) == ["lost 2"])
    }

    @Test func theTextShowsTheWholeWayOfAnElement() throws {
        let entries =
            [write(1, 0, 20), write(2, 1_500_000, nil, .unknown)]
            + (0..<100).map { read([1], 2_000_000 + $0 * 1000) } + [read([], 3_000_000, "other"), last([1])]
        let finding = try #require(judge.judge(entries, hasEnded: true).findings.first)
        #expect(finding.description == "stale: list 7, element 1: it was there 2999 ms before the read began")
        let lines = HistoryText(entries).lines(of: finding)
        #expect(lines.count <= HistoryText.linesMax + 4)
        #expect(lines.first == " > 0.000 … 0.000 w/1 port 5432 session 1 append 1: confirmed timeline 1")
        #expect(
            lines.contains(
                ">> 3.000 … 3.000 other/3000000 port 5432 session 1 read without it: []: confirmed timeline 1"))
        #expect(lines.contains { $0.hasSuffix(" more") })
        #expect(lines.last?.contains("final read with it: [1]") == true)
    }
}
