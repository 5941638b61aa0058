import RoostModel
import Testing

@testable import RoostAPI

@Suite struct BoundTests {
    @Test("A bucket lets a burst through, then so many a second, and never saves up more than a burst")
    func bucket() {
        var now = Moment(sinceBoot: .seconds(1000))
        var bucket = TokenBucket(CallRate(perSecond: 10, burst: 3), at: now)
        #expect((0..<5).map { _ in bucket.take(at: now) } == [true, true, true, false, false])
        now = now + .milliseconds(100)
        #expect((0..<2).map { _ in bucket.take(at: now) } == [true, false])
        now = now + .seconds(3600)
        #expect((0..<4).map { _ in bucket.take(at: now) } == [true, true, true, false])
    }

    @Test("Each route of a door has a measure of its own")
    func rates() throws {
        let rates = RouteRates()
        let rate = CallRate(perSecond: 1, burst: 1)
        let now = Moment(sinceBoot: .seconds(1000))
        try rates.take(rate, for: "a", at: now)
        try rates.take(rate, for: "b", at: now)
        try rates.take(nil, for: "a", at: now)
        #expect(throws: Refusal.self) { try rates.take(rate, for: "a", at: now) }
    }
}
