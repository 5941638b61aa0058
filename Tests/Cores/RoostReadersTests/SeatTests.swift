import RoostFailover
import RoostModel
import Testing

@testable import RoostReaders

/// Which standby a reader follows, and when it takes another one.
@Suite struct SeatTests {
    private let (near, far): (MemberName, MemberName)
    private var seat = Seat()
    private var now = Moment(sinceBoot: .seconds(100))

    init() throws {
        (near, far) = (try MemberName("m2"), try MemberName("m3"))
    }

    private mutating func look(
        _ fit: [MemberName], _ use: Seat.Use, after time: Duration = .zero, of standbys: [MemberName]? = nil
    ) -> MemberName? {
        now = now + time
        seat.look(standbys ?? [near, far], fit: fit, use: use, now)
        return seat.member
    }

    @Test mutating func theNearestThatIsFitIsTaken() {
        #expect(look([], .none) == nil)
        #expect(look([far, near], .none) == far)
        #expect(look([near, far], .dry) == far)
    }

    @Test mutating func oneThatIsNoStandbyAnyMoreIsLeftAtOnce() {
        #expect(look([near, far], .none) == near)
        #expect(look([far], .streaming, of: [far]) == far)
        #expect(look([], .streaming, of: []) == nil)
    }

    @Test mutating func oneThatIsNotFitHasAMomentUnlessNothingIsTakenFromIt() {
        #expect(look([near, far], .streaming) == near)
        #expect(look([far], .streaming) == near)
        #expect(look([far], .copying, after: Seat.patience - .milliseconds(1)) == near)
        #expect(look([near, far], .streaming) == near)
        #expect(look([far], .streaming, after: .seconds(60)) == near)
        #expect(look([far], .streaming, after: Seat.patience) == far)
        #expect(look([near], .none) == near)
        #expect(look([], .none, after: .seconds(600)) == near)
    }

    @Test mutating func oneThatGivesNothingIsFollowedByTheNextAndNoCopyIsBrokenOff() {
        #expect(look([near, far], .none) == near)
        #expect(look([near, far], .copying) == near)
        #expect(look([near, far], .copying, after: .seconds(600)) == near)
        #expect(look([near, far], .dry) == near)
        #expect(look([near, far], .dry, after: Seat.dryMax) == far)
        // The other one is remembered, and so is this one where it gives nothing either.
        #expect(look([near, far], .dry) == far)
        #expect(look([near, far], .dry, after: Seat.dryMax) == near)
        #expect(look([near], .dry) == near)
        #expect(look([near], .dry, after: Seat.dryMax) == near)
    }

    /// Without data it never follows: what counts is that nothing has come of what was tried.
    @Test mutating func copiesThatComeToNothingCountAsOneThatGivesNothing() {
        #expect(look([near, far], .none) == near)
        #expect(look([near, far], .none, after: .seconds(600)) == near)
        seat.noteCopy(isThere: false, now)
        // It is asked once more before it is left, and the next one not in the moment in which it is taken.
        #expect(Seat.copyMax >= FailoverTimings().retryMax + .seconds(5))
        #expect(look([near, far], .none, after: Seat.copyMax - .milliseconds(1)) == near)
        #expect(look([near, far], .copying, after: .milliseconds(1)) == near)
        seat.noteCopy(isThere: false, now)
        #expect(look([near, far], .none) == far)
        seat.noteCopy(isThere: false, now)
        seat.noteCopy(isThere: true, now)
        #expect(look([near, far], .none, after: .seconds(600)) == far)
    }

    @Test mutating func aNearerOneIsTakenWhenItHasBeenThereForLong() {
        #expect(look([far], .none) == far)
        #expect(look([near, far], .streaming) == far)
        #expect(look([far], .streaming, after: .seconds(59)) == far)
        #expect(look([near, far], .streaming) == far)
        #expect(look([near, far], .streaming, after: Seat.nearerMin - .milliseconds(1)) == far)
        #expect(look([near, far], .streaming, after: .milliseconds(1)) == near)
    }

    /// It is left again before clients are sent away, and asked later each time.
    @Test mutating func aNearerOneThatGivesNothingIsNotTriedAgainAndAgain() {
        #expect(look([far], .none) == far)
        var tries: [Int] = []
        for second in 0..<1800 {
            let before = seat.member
            _ = look([near, far], before == near ? .dry : .streaming, after: .seconds(1))
            if seat.member == near, before != near { tries.append(second) }
            if before == near, seat.member == far { #expect(second - (tries.last ?? 0) <= 6) }
        }
        let pauses = zip(tries, tries.dropFirst()).map { $1 - $0 }
        #expect(tries.count == 4 && pauses == pauses.sorted(), "\(tries)")
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $1 - $0 >= 100 }, "\(tries)")
    }

    @Test mutating func whoHasFedForLongIsNotPassedOverForWhatWasBefore() {
        /// For how long it is passed over when it gives nothing.
        func bar() -> Duration {
            #expect(look([near, far], .streaming) == near)
            #expect(look([near, far], .dry) == near)
            #expect(look([near, far], .dry, after: Seat.dryMax) == far)
            let since = now
            while look([near, far], .streaming, after: .seconds(1)) == far, now - since < .seconds(4000) {}
            return now - since
        }
        #expect(look([near], .none) == near)
        let first = bar()
        #expect(first >= Seat.barredMin)
        #expect(bar() >= Seat.barredMin * 2)
        #expect(look([near, far], .streaming) == near)
        #expect(look([near, far], .streaming, after: Seat.proofMin) == near)
        #expect(bar() == first)
    }
}
