import RoostModel
import Testing

@testable import RoostRelayWire

@Suite("Whether a relay still answers")
struct WarmTests {
    private let begin = Moment(sinceBoot: .seconds(100))

    @Test("It is asked each second, and only one that answered lately is led to")
    func answers() {
        var watch = WarmWatch(begin)
        for second in 1...5 {
            let now = watch.wakeAt
            #expect(now == begin + .seconds(second))
            #expect(watch.tick(now) == .ask(WarmWatch.question))
            #expect(watch.tick(now + .milliseconds(900)) == .more)
            #expect(watch.read(WarmWatch.answer, now: now + .milliseconds(300)) == true)
            #expect(watch.isWarm(now + .milliseconds(300)))
        }
    }

    @Test("One that stands still is led to for 2 s at most, and given up 3 s after it was asked")
    func silence() {
        var watch = WarmWatch(begin)
        #expect(watch.tick(begin + .seconds(1)) == .ask(WarmWatch.question))
        #expect(watch.isWarm(begin + .seconds(2)))
        #expect(!watch.isWarm(begin + .milliseconds(2001)))
        #expect(watch.tick(begin + .milliseconds(3999)) == .more)
        #expect(watch.wakeAt == begin + .seconds(4))
        #expect(watch.tick(begin + .seconds(4)) == .giveUp)
    }

    @Test("What comes unasked, or is no answer, ends the connection")
    func nonsense() {
        var watch = WarmWatch(begin)
        #expect(watch.read(WarmWatch.answer, now: begin) == false)
        for bytes in [[0], WarmWatch.answer + [1], Array(WarmWatch.answer.dropLast()) + [9]] as [[UInt8]] {
            var watch = WarmWatch(begin)
            _ = watch.tick(begin + .seconds(1))
            #expect(watch.read(bytes, now: begin + .seconds(1)) == false)
        }
    }

    @Test("An answer that comes behind the request is not the stream's, wherever it is cut", arguments: 0...5)
    func taken(cut: Int) {
        var watch = WarmWatch(begin)
        _ = watch.tick(begin + .seconds(1))
        let isWhole = cut == WarmWatch.answer.count
        #expect(watch.read(WarmWatch.answer.prefix(cut), now: begin + .seconds(1)) == true)
        #expect(watch.unread.count == (isWhole ? 0 : cut))
        let accepted = WireMessage("W", [0, 0, 0]).bytes
        var opening = StreamOpening(after: watch.unread)
        #expect(opening.read(isWhole ? [] : Array(WarmWatch.answer.dropFirst(cut))) == .more)
        #expect(opening.read(accepted + [1]) == .accepted(accepted, rest: [1]))
    }

    @Test("Questions before a request are answered, and no more of them is kept", arguments: 1...7)
    func questions(size: Int) throws {
        var reader = StreamRequestReader(from: try MemberName("m2"))
        let request = StreamRequest(stream: "m2.e7", system: 1, timeline: 1, query: "q")
        let bytes = WarmWatch.question + WarmWatch.question + (try #require(request.bytes))
        var answers: [UInt8] = []
        var last = StreamRequestReader.Outcome.more
        for place in stride(from: 0, to: bytes.count, by: size) {
            last = reader.read(bytes[place..<min(place + size, bytes.count)])
            answers += reader.takeAnswers()
        }
        #expect(last == .request(request, rest: []))
        #expect(answers == WarmWatch.answer + WarmWatch.answer)
    }

    @Test("A stream that ended within seconds sends the next straight")
    func trust() {
        var trust = RelayTrust()
        trust.streamEnded(since: begin, begin + .seconds(5))
        #expect(trust.isGiven(begin + .seconds(5)))
        trust.streamEnded(since: begin, begin + .seconds(4))
        #expect(!trust.isGiven(begin + .seconds(13)))
        #expect(trust.isGiven(begin + .seconds(14)))
    }
}
