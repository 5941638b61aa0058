/// How long each kind of operation may take. What was given up begins from nothing, so one that takes a slow computer longer
/// than its limit would never be done, however often it is tried: after each that was given up for its time alone the next
/// of its kind has twice as long, up to a bound, until one comes to its end.
public struct OperationPatience: Sendable {
    /// So often is it doubled: 120 s become 16 minutes.
    static let doublingsMax = 3

    private let timings: FailoverTimings
    private var doublings: [PostgresOperation.Kind: Int] = [:]

    public init(_ timings: FailoverTimings) { self.timings = timings }

    public func limit(of operation: PostgresOperation) -> Duration {
        timings.limit(of: operation) * (1 << doublings[operation.kind, default: 0])
    }

    /// It came to an end by itself: done, or failed for another reason than its time.
    public mutating func ended(_ operation: PostgresOperation) { doublings[operation.kind] = nil }

    /// It was given up because its time was over.
    public mutating func timeIsOver(for operation: PostgresOperation) {
        guard operation.kind.mayTakeLonger else { return }
        doublings[operation.kind] = min(doublings[operation.kind, default: 0] + 1, Self.doublingsMax)
    }
}

extension PostgresOperation {
    /// An operation without what it is done with.
    enum Kind: Hashable, Sendable, CaseIterable {
        case initialize, clone, exchange, discard, tryRewind, rewind, sever, readEnd, follow, promote, startPrimary
        case confirmBy, checkpoint, stopFast, stopImmediate

        /// Somebody else's limit ends with these: a drain's, a farewell's, or the time that a Postgres may be silent.
        var mayTakeLonger: Bool {
            switch self {
            case .initialize, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .promote,
                .startPrimary, .stopImmediate:
                true
            case .clone, .confirmBy, .checkpoint, .stopFast: false
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
