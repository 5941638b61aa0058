import RoostModel
import Testing

@testable import RoostFailover

/// How long an operation may take, from try to try.
@Suite struct OperationPatienceTests {
    private let timings = FailoverTimings()
    private static let start = Moment(sinceBoot: .seconds(100))

    /// Begins it and lets it end so; the next begins right after.
    private func limit(
        of operation: PostgresOperation, then ending: OperationPatience.Ending, _ patience: inout OperationPatience,
        at now: Moment = start
    ) -> Duration {
        let limit = patience.begin(operation, now)
        patience.end(operation, ending, now)
        return limit
    }

    private static func longer() throws -> [PostgresOperation] {
        let name = try MemberName("m1")
        return [
            .initialize, .exchange, .discard, .tryRewind(to: name, epoch: .first), .rewind(to: name, epoch: .first),
            .sever, .readEnd, .follow(name, epoch: .first, fork: nil),
            .startPrimary(epoch: .first, confirmations: 1, standbys: [], guests: []), .stop(.immediate),
        ]
    }

    /// Everything that begins from nothing when it is given up is done in the end by a computer that takes eight times as long
    /// for it.
    @Test func whatIsGivenUpForItsTimeHasTwiceAsLongTheNextTime() throws {
        let operations = try Self.longer()
        #expect(Set(operations.map(\.kind)) == Set(PostgresOperation.Kind.allCases.filter(\.mayTakeLonger)))
        for operation in operations {
            var patience = OperationPatience(timings)
            let first = timings.limit(of: operation)
            for factor in [1, 2, 4, 8, 8, 8] {
                #expect(limit(of: operation, then: .timeIsOver, &patience) == first * factor, "\(operation)")
            }
            // Done, or failed for what has nothing to do with its time.
            #expect(limit(of: operation, then: .byItself, &patience) == first * 8)
            #expect(limit(of: operation, then: .byItself, &patience) == first)
        }
    }

    /// One that hangs says nothing of another, and whom it is done with is all one.
    @Test func eachKindHasItsOwn() throws {
        var patience = OperationPatience(timings)
        let one = PostgresOperation.follow(try MemberName("m1"), epoch: .first, fork: nil)
        _ = limit(of: one, then: .timeIsOver, &patience)
        let other = PostgresOperation.follow(try MemberName("m2"), epoch: Epoch(2), fork: nil)
        #expect(limit(of: other, then: .byItself, &patience) == timings.limit(of: other) * 2)
        #expect(limit(of: .readEnd, then: .byItself, &patience) == timings.limit(of: .readEnd))
    }

    /// What holds up a drain, a farewell, the look at a Postgres that may hang, or all who wait for a leader, stays as short.
    @Test func whatOthersCountOnIsNeverLonger() {
        for operation in [
            PostgresOperation.checkpoint, .stop(.fast),
            .promote(epoch: .first, confirmations: 1, standbys: [], guests: []),
            .confirmBy(epoch: .first, confirmations: 1, standbys: [], guests: []),
        ] {
            var patience = OperationPatience(timings)
            for _ in 1...3 {
                #expect(limit(of: operation, then: .timeIsOver, &patience) == timings.limit(of: operation))
            }
        }
    }

    /// Nor is what was given up for something else any shorter for it.
    @Test func whatWasGivenUpForAnotherSaysNothing() throws {
        var patience = OperationPatience(timings)
        _ = limit(of: .readEnd, then: .timeIsOver, &patience)
        for _ in 1...2 {
            #expect(limit(of: .readEnd, then: .givenUp, &patience) == timings.limit(of: .readEnd) * 2)
        }
    }

    /// Weeks later the computer is another. Tries that follow one another, however long each of them takes, are one matter.
    @Test func allIsForgottenWhenNothingHadToBeDoneForSoLong() throws {
        for operation in try Self.longer() {
            var patience = OperationPatience(timings)
            var now = Self.start
            for factor in [1, 2, 4, 8] {
                let limit = patience.begin(operation, now)
                #expect(limit == timings.limit(of: operation) * factor, "\(operation)")
                now = now + max(limit, timings.soundAfter * 2)
                patience.end(operation, .timeIsOver, now)
                now = now + timings.retryMax
            }
            // Another one ended in between: that is no rest.
            now = now + (timings.soundAfter - timings.retryMax - .milliseconds(1))
            _ = limit(of: .checkpoint, then: .byItself, &patience, at: now)
            now = now + (timings.soundAfter - .milliseconds(1))
            #expect(limit(of: operation, then: .givenUp, &patience, at: now) == timings.limit(of: operation) * 8)
            now = now + timings.soundAfter
            #expect(limit(of: operation, then: .givenUp, &patience, at: now) == timings.limit(of: operation))
        }
    }
}
