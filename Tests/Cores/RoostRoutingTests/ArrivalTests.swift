import RoostModel
import Testing

@testable import RoostRouting

@Suite("How many new connections a network may bring")
struct ArrivalTests {
    private func at(_ milliseconds: Int) -> Moment { Moment(sinceBoot: .milliseconds(milliseconds)) }
    private func source(_ number: UInt32) -> SourcePrefix { SourcePrefix(of: IPv4Address(bits: number << 8)) }

    /// Comes, makes its handshake if it may, and is gone: no count sees it.
    private func passes(_ admission: inout Admission, _ source: SourcePrefix, _ now: Moment) -> Bool {
        switch admission.arrive(from: source, now: now) {
        case .admitted(let place):
            admission.leave(place)
            return true
        case .refused(let refusal, let place):
            #expect(refusal == .sourceHurried)
            admission.leave(place)
            return false
        case .dropped: return false
        }
    }

    private let own = RateLimit(burst: 20, perSecond: 50)
    private let spare = RateLimit(burst: 30, perSecond: 100)
    private func limits() -> Admission.Limits { .init(sourceArrivals: own, spareArrivals: spare) }

    @Test(
        "Whoever floods gets its own rate and what is spare; whoever keeps to its own rate is never refused",
        arguments: UInt64(0)..<100)
    func shares(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var admission = Admission(limits: limits())
        let (floods, quiet) = ((1...3).map(source), (11...14).map(source))
        var passed: [SourcePrefix: Int] = [:]
        // Each quiet one has tokens of its own, reckoned here in thousandths.
        var tokens = Dictionary(uniqueKeysWithValues: quiet.map { ($0, own.burst * 1_000) })
        let length = 4_000
        for millisecond in 0..<length {
            for source in floods {
                for _ in 0..<Int.random(in: 0...3, using: &random) where passes(&admission, source, at(millisecond)) {
                    passed[source, default: 0] += 1
                }
            }
            for source in quiet {
                let room = min((tokens[source] ?? 0) + own.perSecond, own.burst * 1_000)
                tokens[source] = room
                // Now and then all at once, and else one by one.
                let wanted = Int.random(in: 0..<400, using: &random) == 0 ? own.burst : 1
                for _ in 0..<min(wanted, room / 1_000) where Bool.random(using: &random) {
                    tokens[source, default: 0] -= 1_000
                    #expect(passes(&admission, source, at(millisecond)), "at \(millisecond) ms")
                }
            }
        }
        let ownMost = own.burst + own.perSecond * length / 1_000
        let spareMost = spare.burst + spare.perSecond * length / 1_000
        for source in floods { #expect((ownMost - 1...ownMost + spareMost).contains(passed[source] ?? 0)) }
        let all = passed.values.reduce(0, +)
        #expect(all <= floods.count * ownMost + spareMost, "\(all) handshakes")
        #expect(admission.isEmpty)
    }

    @Test("A network alone may bring what is spare too, is told so beyond it, and has all again after a pause")
    func alone() {
        var admission = Admission(limits: limits())
        let near = source(1)
        let burst = own.burst + spare.burst
        #expect((0..<burst + 5).map { _ in passes(&admission, near, at(0)) }.count(where: \.self) == burst)
        // Nothing of the refused was counted against it: the next tokens come as if they had not been there.
        #expect(passes(&admission, near, at(20)))
        #expect((0..<burst + 5).map { _ in passes(&admission, near, at(10_000)) }.count(where: \.self) == burst)
        // The edge's own check is none of them.
        for _ in 0..<10 {
            guard case .admitted(let own) = admission.arrive(from: near, isOwn: true, now: at(10_000)) else {
                Issue.record("the edge's own check was refused")
                return
            }
            admission.leave(own)
        }
    }

    @Test("A whole network's clients, as many as it may have, come back at once")
    func comeback() {
        var admission = Admission()
        let limits = admission.limits
        #expect(limits.sourceArrivals.burst >= limits.sourceMax)
        for _ in 0..<limits.sourceMax { #expect(passes(&admission, source(1), at(0))) }
    }
}
