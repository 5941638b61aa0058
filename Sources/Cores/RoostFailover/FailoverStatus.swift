public import RoostModel

/// What a member is doing, for logs and its host.
public struct FailoverStatus: Hashable, Sendable {
    public var phase: Phase
    /// Why it waits or what failed; nil when all is well.
    public var detail: String?
    public var epoch: Epoch
    /// Only for a leader whose Postgres may run as a primary: it stops it at this moment unless the lease is renewed.
    public var leaseUntil: Moment?
    /// The gate is open.
    public var isOpen: Bool
    /// The leader that was left last was silent for a while before that, and why it was not left sooner.
    public var doubtedSilence: DoubtedSilence?

    public enum Phase: String, Hashable, Sendable, Codable, CaseIterable {
        case starting, empty, initializing, founding, severing, reading, waiting, cloning, exchanging, discarding,
            rewinding
        case following, claiming, promoting, restarting, leading, draining, suspended, quarantined, resigning, leaving
    }
}
