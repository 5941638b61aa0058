import RoostModel
import Testing

@testable import RoostPlans

@Suite("Who is worked on now") struct WorkQueueTests {
    private let start = Moment(sinceBoot: .seconds(100))

    @Test("A thing has one worker at a time, and the others do not wait for it")
    func oneWorker() {
        var queue = WorkQueue<String>(workersMax: 8)
        #expect(queue.take(["a", "b"], at: start) == ["a", "b"])
        #expect(queue.take(["a", "b", "c"], at: start) == ["c"])
        queue.finished("b", succeeded: true, at: start)
        #expect(queue.take(["a", "b", "c"], at: start) == ["b"])
    }

    @Test("After failures in a row the pause doubles up to its bound, and a success ends it")
    func backOff() {
        var queue = WorkQueue<String>(workersMax: 1)
        var now = start
        var pauses: [Duration] = []
        for _ in 0..<8 {
            #expect(queue.take(["a"], at: now) == ["a"])
            queue.finished("a", succeeded: false, at: now)
            let failed = now
            while queue.take(["a"], at: now).isEmpty { now = now + .milliseconds(100) }
            pauses.append(now - failed)
            queue.finished("a", succeeded: false, at: now)
            queue.finished("a", succeeded: false, at: now)
            now = now + WorkQueue<String>.pauseMax
        }
        #expect(pauses.first == WorkQueue<String>.pauseFirst)
        #expect(pauses.last == WorkQueue<String>.pauseMax)
        #expect(queue.take(["a"], at: now) == ["a"])
        queue.finished("a", succeeded: true, at: now)
        #expect(queue.take(["a"], at: now) == ["a"])
    }

    @Test("No more are worked on at once than there are workers")
    func bounded() {
        var queue = WorkQueue<Int>(workersMax: 3)
        #expect(queue.take(Array(0..<10), at: start) == [0, 1, 2])
        queue.finished(1, succeeded: true, at: start)
        #expect(queue.take(Array(3..<10), at: start) == [3])
    }

    @Test("A thing that is gone is forgotten, unless somebody still works on it")
    func forgotten() {
        var queue = WorkQueue<String>(workersMax: 2)
        _ = queue.take(["a", "b"], at: start)
        queue.finished("b", succeeded: false, at: start)
        #expect(queue.take([], at: start).isEmpty)
        #expect(queue.take(["a", "b"], at: start) == ["b"])
    }

    @Test("A thing that was not looked at keeps its pause")
    func apart() {
        var queue = WorkQueue<String>(workersMax: 2)
        _ = queue.take(["a", "b"], at: start)
        queue.finished("a", succeeded: false, at: start)
        queue.finished("b", succeeded: false, at: start)
        #expect(queue.take([], of: ["b"], at: start).isEmpty)
        #expect(queue.take(["a", "b"], at: start) == ["b"])
    }
}
