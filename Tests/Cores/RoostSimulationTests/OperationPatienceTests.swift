import RoostModel
import Testing

@testable import RoostFailover

/// How long an operation may take, from try to try.
@Suite struct OperationPatienceTests {
    private let timings = FailoverTimings()

    /// Everything that begins from nothing when it is given up is done in the end by a computer that takes eight times as long
    /// for it.
    @Test func whatIsGivenUpForItsTimeHasTwiceAsLongTheNextTime() throws {
        let name = try MemberName("m1")
        let operations: [PostgresOperation] = [
            .initialize, .exchange, .discard, .tryRewind(to: name, epoch: .first), .rewind(to: name, epoch: .first),
            .sever, .readEnd, .follow(name, epoch: .first, fork: nil),
            .promote(epoch: .first, confirmations: 1, standbys: [], guests: []),
            .startPrimary(epoch: .first, confirmations: 1, standbys: [], guests: []), .stop(.immediate),
        ]
        #expect(Set(operations.map(\.kind)) == Set(PostgresOperation.Kind.allCases.filter(\.mayTakeLonger)))
        for operation in operations {
            var patience = OperationPatience(timings)
            let first = timings.limit(of: operation)
            for factor in [1, 2, 4, 8, 8, 8] {
                #expect(patience.limit(of: operation) == first * factor, "\(operation)")
                patience.timeIsOver(for: operation)
            }
            // Done, or failed for what has nothing to do with its time.
            patience.ended(operation)
            #expect(patience.limit(of: operation) == first)
        }
    }

    /// One that hangs says nothing of another, and whom it is done with is all one.
    @Test func eachKindHasItsOwn() throws {
        var patience = OperationPatience(timings)
        patience.timeIsOver(for: .follow(try MemberName("m1"), epoch: .first, fork: nil))
        let other = PostgresOperation.follow(try MemberName("m2"), epoch: Epoch(2), fork: nil)
        #expect(patience.limit(of: other) == timings.limit(of: other) * 2)
        #expect(patience.limit(of: .readEnd) == timings.limit(of: .readEnd))
    }

    /// What holds up a drain, a farewell or the look at a Postgres that may hang stays as short.
    @Test func whatOthersCountOnIsNeverLonger() {
        for operation in [
            PostgresOperation.checkpoint, .stop(.fast),
            .confirmBy(epoch: .first, confirmations: 1, standbys: [], guests: []),
        ] {
            var patience = OperationPatience(timings)
            patience.timeIsOver(for: operation)
            #expect(patience.limit(of: operation) == timings.limit(of: operation))
        }
    }
}
