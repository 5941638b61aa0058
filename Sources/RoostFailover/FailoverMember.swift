public import RoostModel

/// One member's decisions: pure, no clock, no I/O.
///
/// The shell makes it once with what it read from disk, hands it `.tick` at once, and from then on every event as it
/// comes and a `.tick` whenever ``wakeAt`` has passed.
public struct FailoverMember: Sendable {
    /// This many heartbeats may be on their way at a time, so that one slow answer does not cost the lease.
    public static let heartbeatsInFlightMax = 4

    public let name: MemberName
    public let timings: FailoverTimings
    /// The last state handed to ``FailoverAction/save(_:)``.
    public private(set) var state: DurableState
    /// Hand over a `.tick` when this moment has come. Changes with every event.
    public private(set) var wakeAt: Moment

    /// - Parameter state: what was last saved; a new `DurableState()` when there is no file.
    public init(name: MemberName, state: DurableState, timings: FailoverTimings = FailoverTimings(), now: Moment) {
        self.name = name
        self.state = state
        self.timings = timings
        wakeAt = now
    }

    public var status: FailoverStatus {
        FailoverStatus(phase: .starting, detail: nil, epoch: state.promised, leaseUntil: nil, isOpen: false)
    }

    public mutating func receive(_ event: FailoverEvent, now: Moment) -> [FailoverAction] {
        []
    }
}
