import RoostLinux
import RoostModel

/// Since when a standby that should follow has no stream, and when it last asked why.
struct FollowerDoubt: Sendable {
    /// Without a stream for this long it asks: longer than a leader takes to be promoted…
    static let patience = Duration.seconds(2)
    /// …and again after this.
    static let interval = Duration.seconds(5)

    /// Whom it follows; nil: nobody, or not yet.
    var upstream: PostgresSettings.Upstream?
    var isAsking = false
    private var since: Moment?
    private var askedAt: Moment?

    /// The leader to ask now; nil when there is nothing to ask.
    mutating func isToAsk(isStreaming: Bool, _ now: Moment) -> PostgresSettings.Upstream? {
        guard let upstream, !isStreaming else {
            since = nil
            return nil
        }
        let lostAt = since ?? now
        since = lostAt
        guard !isAsking, now - lostAt >= Self.patience, askedAt.map({ now - $0 >= Self.interval }) ?? true else {
            return nil
        }
        isAsking = true
        askedAt = now
        return upstream
    }
}
