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
    var interval = ProbeSchedule.intervalMin
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
            now = now + interval
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
        #expect(statistics.loss == 0)
    }

    @Test func steadyPathShowsItsRoundTrip() {
        var path = SimulatedPath(seed: 1)
        path.run(probes: 100)
        #expect(path.statistics.roundTrip == .milliseconds(80))
        #expect(path.statistics.loss == 0)
        #expect(path.statistics.isAnswering(at: path.now))
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

    @Test func totalLossOfOneDirectionIsSeenWithinASecondAndIsNoAnswer() {
        var path = SimulatedPath(seed: 3)
        path.run(probes: 60)
        path.lossBack = 1
        path.run(probes: 10)
        #expect(path.statistics.lostInARow() >= 5)
        #expect(path.statistics.loss >= 0.1)
        path.run(probes: 60)
        #expect(path.statistics.loss == 1)
        #expect(!path.statistics.isAnswering(at: path.now))
        path.lossBack = 0
        path.run(probes: 70)
        #expect(path.statistics.loss == 0)
        #expect(path.statistics.isAnswering(at: path.now))
        #expect(path.statistics.roundTrip == .milliseconds(80))
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
        #expect(statistics.lostInARow() == 0)
    }
}

/// What is promised of outages and losses holds however many peers share a host's probes.
struct PathsOfManyPeersTests {
    private func path(peers: Int, seed: UInt64) -> SimulatedPath {
        var path = SimulatedPath(seed: seed)
        path.interval = ProbeSchedule.interval(peers: peers)
        return path
    }

    @Test(arguments: [(1, 5.5), (11, 5.5), (20, 5.7), (49, 6.5), (199, 11.5)])
    func outageIsSeenInTime(peers: Int, secondsMax: Double) {
        var path = path(peers: peers, seed: 7)
        path.run(probes: 60)
        #expect(path.statistics.isAnswering(at: path.now))
        path.lossBack = 1
        let begin = path.now
        while path.statistics.isAnswering(at: path.now), path.now - begin < .seconds(60) { path.run(probes: 1) }
        let seconds = (path.now - begin).secondsAsDouble
        #expect(seconds >= 3 && seconds <= secondsMax)
        path.lossBack = 0
        path.run(probes: 2)
        #expect(path.statistics.isAnswering(at: path.now))
    }

    /// A tenth of all probes is lost: nobody takes that for an outage.
    @Test(arguments: [11, 49, 199]) func lossIsNoOutage(peers: Int) {
        var outages = 0
        for seed in 0..<20 as Range<UInt64> {
            var path = path(peers: peers, seed: seed)
            path.lossThere = 0.1
            path.run(probes: 20)
            for _ in 0..<300 {
                path.run(probes: 1)
                if !path.statistics.isAnswering(at: path.now) { outages += 1 }
            }
        }
        #expect(outages <= 1)
    }

    @Test(arguments: [11, 20, 49, 199]) func lossIsEstimated(peers: Int) {
        var total = 0.0
        for seed in 0..<100 as Range<UInt64> {
            var path = path(peers: peers, seed: seed)
            path.lossThere = 0.2
            path.run(probes: 120)
            total += path.statistics.loss
        }
        #expect(abs(total / 100 - 0.2) < 0.03)
    }

    /// What has long passed is not held against a path: the window has an end in time, too.
    @Test(arguments: [(11, 6), (49, 22), (199, 40)]) func lossIsForgotten(peers: Int, seconds: Int) {
        var path = path(peers: peers, seed: 9)
        path.lossThere = 1
        path.run(probes: 100)
        path.lossThere = 0
        let end = path.now + .seconds(seconds)
        while path.now < end { path.run(probes: 1) }
        #expect(path.statistics.loss == 0)
    }

    @Test func heldTimeIsNoPartOfThePathAndIsNotBelievedBeyondTheWhole() {
        var statistics = PathStatistics()
        for round in 0..<50 {
            let now = Moment.zero + .milliseconds(100) * round
            let number = statistics.send(at: now)
            let held = Duration.milliseconds(round % 40)
            _ = statistics.answer(number, at: now + .milliseconds(20) + held, held: held)
        }
        #expect(statistics.roundTrip == .milliseconds(20))
        let number = statistics.send(at: Moment.zero + .seconds(5))
        _ = statistics.answer(number, at: Moment.zero + .milliseconds(5020), held: .seconds(3600))
        #expect(statistics.roundTrip == .milliseconds(20))
    }

    /// An answer that is late by the other's round, on a path that never varied.
    @Test func heldAnswerIsNotGivenUp() {
        var path = SimulatedPath(seed: 11)
        path.roundTrip = .milliseconds(300)
        path.run(probes: 200)
        let number = path.statistics.send(at: path.now)
        path.statistics.expire(at: path.now + .milliseconds(380))
        #expect(path.statistics.answer(number, at: path.now + .milliseconds(380), held: .milliseconds(80)) == .counted)
    }
}

struct ProbeScheduleTests {
    @Test func probesPerSecondAreBounded() {
        for peers in [1, 10, 11, 12, 50, 51, 200, 1000] {
            let perSecond = Double(peers) / ProbeSchedule.interval(peers: peers).secondsAsDouble
            #expect(perSecond <= 110.5)
        }
        #expect(ProbeSchedule.interval(peers: 11) == .milliseconds(100))
        #expect(ProbeSchedule.interval(peers: 49) == .seconds(1))
        #expect(ProbeSchedule.interval(peers: 220) == .seconds(2))
    }

    /// One computer may carry all of them, as a lab does.
    @Test func aPlanetOfFiftySendsNotMuchMoreThanOneOfTwelve() {
        func all(_ hosts: Int) -> Double {
            Double(hosts * (hosts - 1)) / ProbeSchedule.interval(peers: hosts - 1).secondsAsDouble
        }
        #expect(all(12) <= 1320.5)
        for hosts in 13...35 { #expect(all(hosts) <= 1440.5) }
        #expect(all(50) <= 2450.5)
    }

    @Test func morePeersAreNeverProbedMoreOften() {
        for peers in 1..<400 {
            #expect(ProbeSchedule.interval(peers: peers + 1) >= ProbeSchedule.interval(peers: peers))
        }
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
