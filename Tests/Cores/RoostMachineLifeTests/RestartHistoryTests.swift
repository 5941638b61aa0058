import RoostMachineLife
import RoostModel
import Testing

struct RestartHistoryTests {
    private let crash = MachineExit(code: 1, signal: nil, oomKilled: false)
    private let success = MachineExit(code: 0, signal: nil, oomKilled: false)
    private let killed = MachineExit(code: 137, signal: 9, oomKilled: true)

    private func at(_ seconds: Int) -> Moment { Moment(sinceBoot: .seconds(seconds)) }

    @Test func noNeverRestarts() {
        for exit in [crash, success, killed] {
            var history = RestartHistory()
            history.noteStart(at: at(1))
            #expect(history.decide(after: exit, policy: .init(policy: .no), at: at(2)) == .rest)
        }
    }

    @Test func onFailureRestartsFailuresOnly() {
        var history = RestartHistory()
        #expect(history.decide(after: success, policy: .init(policy: .onFailure), at: at(1)) == .rest)
        for exit in [crash, killed] {
            var history = RestartHistory()
            history.noteStart(at: at(1))
            #expect(history.decide(after: exit, policy: .init(policy: .onFailure), at: at(2)) == .restart(after: .zero))
        }
    }

    @Test func pausesDoubleUpToACap() {
        var history = RestartHistory()
        var pauses: [Duration] = []
        for second in 0..<14 {
            history.noteStart(at: at(second))
            guard
                case .restart(let pause) = history.decide(
                    after: success, policy: .init(policy: .always), at: at(second))
            else { return #expect(Bool(false), "'always' gave up") }
            pauses.append(pause)
        }
        #expect(pauses[..<4] == [.zero, .milliseconds(100), .milliseconds(200), .milliseconds(400)])
        #expect(pauses.last == RestartHistory.pauseMax)
        #expect(pauses == pauses.sorted())
    }

    @Test(arguments: [(nil, 10), (0, 0), (3, 3)] as [(Int?, Int)])
    func onFailureGivesUp(retriesMax: Int?, expected: Int) {
        var history = RestartHistory()
        let policy = MachineRestart(policy: .onFailure, retriesMax: retriesMax)
        var restarts = 0
        while case .restart = history.decide(after: crash, policy: policy, at: at(restarts)), restarts < 100 {
            restarts += 1
        }
        #expect(restarts == expected)
        #expect(history.decide(after: crash, policy: policy, at: at(200)) == .giveUp)
    }

    @Test func aLongRunOrABootStartsAfresh() {
        for end in [1000 + 30, 5] {
            var history = RestartHistory()
            for _ in 0..<5 { _ = history.decide(after: crash, policy: .init(policy: .always), at: at(1000)) }
            #expect(history.restartsInARow == 5)
            history.noteStart(at: at(1000))
            #expect(history.decide(after: crash, policy: .init(policy: .always), at: at(end)) == .restart(after: .zero))
        }
        var history = RestartHistory()
        _ = history.decide(after: crash, policy: .init(policy: .always), at: at(1000))
        history.noteStart(at: at(1000))
        // A launch that came to nothing has no start of its own: the one before does not count for it.
        _ = history.decide(after: crash, policy: .init(policy: .always), at: at(1001))
        #expect(
            history.decide(after: crash, policy: .init(policy: .always), at: at(2000))
                == .restart(after: .milliseconds(200)))
    }
}
