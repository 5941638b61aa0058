import RoostModel
import Testing

@testable import RoostPaths

/// A path with a delay and a loss, and the probes of a virtual clock on it.
private struct SimulatedPath {
    var statistics = PathStatistics()
    var now = Moment.zero
    var random: SplitMix64
    var roundTrip = Duration.milliseconds(80)
    var jitterMilliseconds = 0
    var lossThere = 0.0
    var lossBack = 0.0
    private var answers: [(number: UInt32, arrives: Moment)] = []

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func run(probes: Int) {
        for _ in 0..<probes {
            let number = statistics.send(at: now)
            let arrived = Double.random(in: 0..<1, using: &random) >= lossThere
            let returned = Double.random(in: 0..<1, using: &random) >= lossBack
            if arrived, returned {
                let extra = Duration.milliseconds(Int.random(in: 0...jitterMilliseconds, using: &random))
                answers.append((number, now + roundTrip + extra))
            }
            now = now + ProbeSchedule.intervalMin
            deliver()
        }
    }

    private mutating func deliver() {
        for answer in answers where answer.arrives <= now {
            _ = statistics.answer(answer.number, at: answer.arrives)
        }
        answers.removeAll { $0.arrives <= now }
    }
}

struct PathStatisticsTests {
    @Test func nothingIsKnownBeforeTheFirstAnswer() {
        var statistics = PathStatistics()
        _ = statistics.send(at: .zero)
        #expect(statistics.roundTrip == nil)
        #expect(statistics.jitter == nil)
        #expect(statistics.score == nil)
        #expect(statistics.loss == 0)
    }

    @Test func steadyPathShowsItsRoundTrip() {
        var path = SimulatedPath(seed: 1)
        path.run(probes: 100)
        #expect(path.statistics.roundTrip == .milliseconds(80))
        #expect(path.statistics.loss == 0)
        #expect(path.statistics.score == .milliseconds(80))
        #expect(path.statistics.probesSent == 100)
        #expect((path.statistics.jitter ?? .seconds(1)) < .milliseconds(1))
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func jitterIsSmoothed(seed: UInt64) throws {
        var path = SimulatedPath(seed: seed)
        path.jitterMilliseconds = 40
        path.run(probes: 200)
        let roundTrip = try #require(path.statistics.roundTrip)
        #expect(roundTrip > .milliseconds(85) && roundTrip < .milliseconds(115))
        let jitter = try #require(path.statistics.jitter)
        #expect(jitter > .milliseconds(2) && jitter < .milliseconds(25))
        #expect(path.statistics.loss == 0)
    }

    /// Over many windows the mean of what is measured is what the path loses, in whichever direction.
    @Test(arguments: [(0.05, 0.0), (0.0, 0.05), (0.2, 0.0), (0.0, 0.5)])
    func lossIsMeasuredInEitherDirection(there: Double, back: Double) {
        var total = 0.0
        let runs = 60
        for seed in 0..<runs {
            var path = SimulatedPath(seed: UInt64(seed))
            path.lossThere = there
            path.lossBack = back
            path.run(probes: 80)
            total += path.statistics.loss
        }
        #expect(abs(total / Double(runs) - there - back) < 0.03)
    }

    @Test func totalLossOfOneDirectionIsSeenWithinASecondAndHasNoScore() {
        var path = SimulatedPath(seed: 3)
        path.run(probes: 60)
        path.lossBack = 1
        path.run(probes: 10)
        #expect(path.statistics.lostInARow >= 5)
        #expect(path.statistics.loss >= 0.1)
        path.run(probes: 60)
        #expect(path.statistics.loss == 1)
        #expect(path.statistics.score == nil)
        path.lossBack = 0
        path.run(probes: 70)
        #expect(path.statistics.loss == 0)
        #expect(path.statistics.score == .milliseconds(80))
    }

    /// Half a second more delay than was ever seen: the answers come after they were given up, and still count.
    @Test func suddenDelayIsLearnedNotTakenForLossForEver() throws {
        var path = SimulatedPath(seed: 4)
        path.run(probes: 60)
        path.roundTrip = .milliseconds(600)
        path.run(probes: 120)
        #expect(path.statistics.loss == 0)
        let roundTrip = try #require(path.statistics.roundTrip)
        #expect(roundTrip > .milliseconds(550))
    }

    @Test func lossWeighsAsDelay() throws {
        var lossy = SimulatedPath(seed: 5)
        lossy.lossThere = 0.2
        lossy.run(probes: 200)
        var detour = SimulatedPath(seed: 5)
        detour.roundTrip = .milliseconds(100)
        detour.run(probes: 200)
        let lossyScore = try #require(lossy.statistics.score)
        let detourScore = try #require(detour.statistics.score)
        #expect(lossyScore > detourScore)
    }

    @Test func duplicateAndUnknownAnswersChangeNothing() {
        var statistics = PathStatistics()
        #expect(statistics.answer(0, at: .zero) == .unknown)
        let number = statistics.send(at: .zero)
        let later = Moment.zero + .milliseconds(5)
        #expect(statistics.answer(number, at: later) == .counted)
        #expect(statistics.answer(number, at: later) == .duplicate)
        #expect(statistics.answer(number &+ 1, at: later) == .unknown)
        #expect(statistics.answer(number &- 1, at: later) == .unknown)
        #expect(statistics.probesAnswered == 1)
        #expect(statistics.roundTrip == .milliseconds(5))
    }

    @Test func lateAnswerIsNoLongerALoss() {
        var statistics = PathStatistics()
        let number = statistics.send(at: .zero)
        statistics.expire(at: .zero + .seconds(2))
        #expect(statistics.loss == 1)
        #expect(statistics.answer(number, at: .zero + .seconds(3)) == .late)
        #expect(statistics.loss == 0)
        #expect(statistics.lostInARow == 0)
    }
}

struct ProbeScheduleTests {
    @Test func probesPerSecondAreBounded() {
        for peers in [1, 10, 50, 51, 200, 1000] {
            let perSecond = Double(peers) / ProbeSchedule.interval(peers: peers).secondsAsDouble
            #expect(perSecond <= 500.5)
        }
        #expect(ProbeSchedule.interval(peers: 50) == .milliseconds(100))
        #expect(ProbeSchedule.interval(peers: 200) == .milliseconds(400))
    }

    @Test func peersAreSpreadOverTheInterval() {
        let first = (0..<10).map { ProbeSchedule.firstProbe(of: $0, peers: 10, from: .zero) }
        #expect(Set(first).count == 10)
        #expect(first.last == .zero + .milliseconds(90))
    }

    @Test func missedProbesAreNotCaughtUp() {
        let now = Moment.zero + .seconds(60)
        #expect(ProbeSchedule.next(after: .zero, peers: 3, now: now) == now + .milliseconds(100))
    }
}
