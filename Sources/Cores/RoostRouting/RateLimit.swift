public import RoostModel

/// So many at once, and then so many each second.
public struct RateLimit: Hashable, Sendable {
    public var burst: Int
    public var perSecond: Int

    public init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}

/// Counts events of many kinds against one limit: a token bucket for each key. Keys whose bucket is full again are
/// forgotten, and there are never more than ``keysMax``.
public struct RateMeter<Key: Hashable & Sendable>: Sendable {
    static var keysMax: Int { 4_096 }

    private struct Bucket {
        /// When the bucket is full again. Each event moves it by one event's time.
        var fullAt: Moment
    }

    private let step: Duration
    private let depth: Duration
    private var buckets: [Key: Bucket] = [:]

    public init(limit: RateLimit) {
        step = .seconds(1) / max(limit.perSecond, 1)
        depth = step * max(limit.burst, 1)
    }

    /// - Returns: false when the key has no token left, or when too many keys are remembered to say.
    public mutating func take(_ key: Key, now: Moment) -> Bool {
        if buckets[key] == nil, buckets.count >= Self.keysMax {
            buckets = buckets.filter { $0.value.fullAt > now }
            guard buckets.count < Self.keysMax else { return false }
        }
        let start = max(buckets[key]?.fullAt ?? now, now)
        guard start + step - now <= depth else { return false }
        buckets[key] = Bucket(fullAt: start + step)
        return true
    }
}
