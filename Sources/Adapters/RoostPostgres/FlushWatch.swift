import RoostModel

/// Whether a primary's log gets to its disk, as far as it shows by itself. That it does not is no proof: the last page of the
/// log may wait for its next record. It is a reason to try the disk at once.
struct FlushWatch: Sendable {
    /// The log has something to flush, and was not flushed any further, for so long.
    static let patience = Duration.seconds(1)
    /// A Postgres that is asked all the time has not answered for so long: it may wait for its disk.
    static let silenceMax = Duration.seconds(3)

    private var flushed = LSN.zero
    private var standsSince: Moment?
    private var answeredAt: Moment?

    /// - Parameter inserted: read together with `flushed`; nil of a standby.
    mutating func note(flushed: LSN, inserted: LSN?, _ now: Moment) {
        answeredAt = now
        let stands = inserted.map { $0 > flushed && flushed == self.flushed } ?? false
        standsSince = stands ? standsSince ?? now : nil
        self.flushed = flushed
    }

    func isInDoubt(_ now: Moment) -> Bool {
        if let standsSince, now - standsSince >= Self.patience { return true }
        return answeredAt.map { now - $0 >= Self.silenceMax } ?? false
    }
}
