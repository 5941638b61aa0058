import RoostModel
import Testing

@testable import RoostPlans

@Suite("What is looked at") struct LookListTests {
    private typealias List = LookList<String>
    private let start = Moment(sinceBoot: .seconds(100))

    @Test("Everything first, then what changed, each change once, and nothing without one")
    func changes() {
        var list = List()
        #expect(list.take(at: start) == .everything)
        list.saw(.everything, unfinished: [])
        #expect(list.take(at: start + .seconds(1)) == nil)
        list.note(.things(["a"]))
        list.note(.things(["b", "a"]))
        list.note(.things([]))
        #expect(list.take(at: start + .seconds(1)) == .things(["a", "b"]))
        #expect(list.take(at: start + .seconds(1)) == nil)
        list.note(.things(["a"]))
        list.note(.all)
        #expect(list.take(at: start + .seconds(2)) == .everything)
        #expect(list.take(at: start + .seconds(2)) == nil, "what was marked was a part of it")
    }

    @Test("What is unfinished is looked at again and again, until it is finished")
    func unfinished() {
        var list = List()
        _ = list.take(at: start)
        list.saw(.everything, unfinished: ["a", "b"])
        #expect(list.take(at: start + .milliseconds(100)) == nil)
        list.note(.things(["a"]))
        #expect(list.take(at: start + .milliseconds(100)) == .things(["a"]))
        list.saw(.things(["a"]), unfinished: [])
        let later = start + List.unfinishedInterval
        #expect(list.take(at: later) == .things(["b"]))
        #expect(list.take(at: later) == nil)
        list.saw(.things(["b", "c"]), unfinished: ["c"])
        #expect(list.take(at: later + List.unfinishedInterval) == .things(["c"]))
        list.saw(.things(["c"]), unfinished: [])
        #expect(list.take(at: later + List.unfinishedInterval * 2) == nil)
    }

    @Test("Everything is looked at again after its interval, whether or not something changes meanwhile")
    func net() {
        var list = List()
        var looks = 0
        for tick in 0..<1200 {
            list.note(.things(tick % 7 == 0 ? ["a"] : []))
            let range = list.take(at: start + .milliseconds(100) * tick)
            if range == .everything { looks += 1 }
            if let range { list.saw(range, unfinished: []) }
        }
        #expect(looks == 2)
    }
}
