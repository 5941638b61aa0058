public import RoostModel

/// Instances that took a connection and then said nothing, or did not even take it. Waiting for one costs a client
/// seconds, so the next ones do not all try: one client at a time finds out whether it speaks again.
public struct SilentBackends: Sendable {
    public struct Limits: Hashable, Sendable {
        /// How long a silent instance is passed over at first; twice as long each time it is still silent,
        public var restMin: Duration
        /// up to this.
        public var restMax: Duration
        /// How long the one that tries may need. Meanwhile the others go on passing the instance over.
        public var trialTime: Duration
        /// Instances remembered. Beyond it the one that is to be tried soonest is forgotten.
        public var countMax: Int

        public init(
            restMin: Duration = .seconds(5), restMax: Duration = .seconds(60), trialTime: Duration = .seconds(7),
            countMax: Int = 1_024
        ) {
            self.restMin = restMin
            self.restMax = restMax
            self.trialTime = trialTime
            self.countMax = countMax
        }
    }

    private struct Silence {
        var rest: Duration
        var until: Moment
    }

    public let limits: Limits
    private var silent: [Backend: Silence] = [:]

    public init(limits: Limits = Limits()) { self.limits = limits }

    var count: Int { silent.count }

    /// The candidate to try: the first that is not known to be silent, or whose rest is over; the first of all when
    /// every one is silent. Nil without candidates.
    public mutating func pick(_ candidates: [Backend], now: Moment) -> Backend? {
        for candidate in candidates {
            guard let silence = silent[candidate] else { return candidate }
            guard silence.until <= now else { continue }
            silent[candidate]?.until = now + limits.trialTime
            return candidate
        }
        return candidates.first
    }

    public mutating func wasSilent(_ backend: Backend, now: Moment) {
        let rest = silent[backend].map { min($0.rest * 2, limits.restMax) } ?? limits.restMin
        if silent[backend] == nil, silent.count >= limits.countMax,
            let first = silent.min(by: { $0.value.until < $1.value.until })?.key
        {
            silent[first] = nil
        }
        silent[backend] = Silence(rest: rest, until: now + rest)
    }

    public mutating func answered(_ backend: Backend) { silent[backend] = nil }
}
