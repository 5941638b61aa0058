public import RoostModel

/// How long each kind of operation may take. What was given up begins from nothing, so one that takes a slow computer longer
/// than its limit would never be done, however often it is tried: after each that was given up for its time alone the next
/// of its kind has twice as long, up to a bound, until one comes to its end, or until nothing has had to be done for
/// ``FailoverTimings/soundAfter``: what a computer took long for then says nothing of now.
public struct OperationPatience: Sendable {
    /// So often is it doubled: 120 s become 16 minutes.
    static let doublingsMax = 3

    private let timings: FailoverTimings
    private var doublings: [PostgresOperation.Kind: Int] = [:]
    /// When the last operation of any kind ended; nil: one is under way, or none was.
    private var idleSince: Moment?

    public init(_ timings: FailoverTimings) { self.timings = timings }

    /// - Returns: how long it may take.
    public mutating func begin(_ operation: PostgresOperation, _ now: Moment) -> Duration {
        if let idleSince, now - idleSince >= timings.soundAfter { doublings = [:] }
        idleSince = nil
        return timings.limit(of: operation) * (1 << doublings[operation.kind, default: 0])
    }

    public mutating func end(_ operation: PostgresOperation, _ ending: Ending, _ now: Moment) {
        idleSince = now
        switch ending {
        case .byItself: doublings[operation.kind] = nil
        case .timeIsOver:
            guard operation.kind.mayTakeLonger else { return }
            doublings[operation.kind] = min(doublings[operation.kind, default: 0] + 1, Self.doublingsMax)
        case .givenUp: break
        }
    }

    public enum Ending: Hashable, Sendable, CaseIterable {
        /// Done, or failed for another reason than its time.
        case byItself
        /// It was given up because its time was over.
        case timeIsOver
        /// For another operation, or because what it waited for did nothing: that says nothing of how long it takes.
        case givenUp
    }
}

extension PostgresOperation {
    /// An operation without what it is done with.
    enum Kind: Hashable, Sendable, CaseIterable {
        case initialize, clone, exchange, discard, tryRewind, rewind, sever, readEnd, follow, promote, startPrimary
        case confirmBy, checkpoint, stopFast, stopImmediate

        /// Others wait for the end of those that may not, who could do better: a drain, a farewell, the look at a Postgres that
        /// may hang; and a cluster in which nobody else leads as long as the one that it has chosen is promoted.
        var mayTakeLonger: Bool {
            switch self {
            case .initialize, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .startPrimary,
                .stopImmediate:
                true
            case .clone, .promote, .confirmBy, .checkpoint, .stopFast: false
            }
        }
    }

    var kind: Kind {
        switch self {
        case .initialize: .initialize
        case .clone: .clone
        case .exchange: .exchange
        case .discard: .discard
        case .tryRewind: .tryRewind
        case .rewind: .rewind
        case .sever: .sever
        case .readEnd: .readEnd
        case .follow: .follow
        case .promote: .promote
        case .startPrimary: .startPrimary
        case .confirmBy: .confirmBy
        case .checkpoint: .checkpoint
        case .stop(.fast): .stopFast
        case .stop(.immediate): .stopImmediate
        }
    }
}
