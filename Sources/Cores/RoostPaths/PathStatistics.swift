import DequeModule
public import RoostModel

/// What the probes of one path have shown: smoothed round trip, jitter, and the loss of the recent window.
///
/// A pure value. The caller sends a probe whenever it likes, tells this value so, hands in each answer, and reads.
/// A broken direction is a loss like any other: a probe counts only when its answer came back.
public struct PathStatistics: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Probes the loss is counted over.
        public var windowProbes: Int
        /// An answer is waited for at least this long, however short the round trip: a busy host is not a bad path.
        public var patienceMin: Duration
        /// And at most this long, which also holds until the first answer.
        public var patienceMax: Duration
        /// What a path that loses everything would cost; a path that loses 5 % costs a twentieth of it.
        /// With one second, 5 % of loss weigh as much as 50 ms of detour.
        public var penaltyOfTotalLoss: Duration

        public init(
            windowProbes: Int = 50, patienceMin: Duration = .milliseconds(200), patienceMax: Duration = .seconds(1),
            penaltyOfTotalLoss: Duration = .seconds(1)
        ) {
            precondition(windowProbes > 0 && patienceMin <= patienceMax)
            self.windowProbes = windowProbes
            self.patienceMin = patienceMin
            self.patienceMax = patienceMax
            self.penaltyOfTotalLoss = penaltyOfTotalLoss
        }
    }

    /// What became of an answer that was handed in.
    public enum Verdict: Hashable, Sendable {
        /// In time.
        case counted
        /// After the probe had been given up; it is no longer lost, and its round trip counts.
        case late
        /// The probe had been answered before. Nothing changes.
        case duplicate
        /// No probe of the window has this number. Nothing changes.
        case unknown
    }

    public let limits: Limits
    public private(set) var probesSent: UInt64 = 0
    public private(set) var probesAnswered: UInt64 = 0
    private var probes: Deque<Probe> = []
    private var smoothed: Smoothed?

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// A probe leaves now.
    /// - Returns: its number, to be carried by the probe and its answer.
    public mutating func send(at now: Moment) -> UInt32 {
        expire(at: now)
        if probes.count == limits.windowProbes { probes.removeFirst() }
        let number = UInt32(truncatingIfNeeded: probesSent)
        probes.append(Probe(number: number, sentAt: now, state: .waiting))
        probesSent += 1
        return number
    }

    public mutating func answer(_ number: UInt32, at now: Moment) -> Verdict {
        guard let first = probes.first else { return .unknown }
        let index = Int(number &- first.number)
        guard index < probes.count else { return .unknown }
        let verdict: Verdict
        switch probes[index].state {
        case .waiting: verdict = .counted
        case .lost: verdict = .late
        case .answered: return .duplicate
        }
        probes[index].state = .answered
        probesAnswered += 1
        learn(now - probes[index].sentAt)
        return verdict
    }

    /// When the probe with this number left; nil when it is not of the window.
    public func sentAt(_ number: UInt32) -> Moment? {
        guard let first = probes.first else { return nil }
        let index = Int(number &- first.number)
        return index < probes.count ? probes[index].sentAt : nil
    }

    /// Gives up probes that have waited too long.
    public mutating func expire(at now: Moment) {
        let patience = patience
        for index in probes.indices where probes[index].state == .waiting {
            if now - probes[index].sentAt < patience { return }
            probes[index].state = .lost
        }
    }

    /// How long an answer is waited for now: RFC 6298's time-out (round trip plus four times its variation) within
    /// the limits.
    public var patience: Duration {
        guard let smoothed else { return limits.patienceMax }
        return min(max(smoothed.roundTrip + smoothed.variation * 4, limits.patienceMin), limits.patienceMax)
    }

    /// Nil until a probe was answered.
    public var roundTrip: Duration? { smoothed?.roundTrip }
    public var jitter: Duration? { smoothed?.variation }

    /// Of the window's probes whose fate is known: 0 none lost, 1 all lost. Zero before the first is known.
    public var loss: Double {
        probesSettled == 0 ? 0 : Double(probes.count { $0.state == .lost }) / Double(probesSettled)
    }

    /// Of the window's probes, those whose fate is known.
    public var probesSettled: Int { probes.count { $0.state != .waiting } }

    /// Probes lost without one answered after them.
    public var lostInARow: Int {
        var count = 0
        for probe in probes.reversed() {
            switch probe.state {
            case .waiting: continue
            case .lost: count += 1
            case .answered: return count
            }
        }
        return count
    }

    /// What the path costs: smoothed round trip plus a penalty for loss; the lower the better.
    /// Nil when nothing was answered within the window: the path leads nowhere.
    public var score: Duration? {
        guard let smoothed, probes.contains(where: { $0.state == .answered }) else { return nil }
        return smoothed.roundTrip + limits.penaltyOfTotalLoss * loss
    }

    private struct Probe: Sendable {
        enum State: Sendable {
            /// On its way. Becomes `answered` or `lost`.
            case waiting
            /// Final.
            case answered
            /// Given up. Becomes `answered` if an answer still comes within the window.
            case lost
        }

        var number: UInt32
        var sentAt: Moment
        var state: State
    }

    /// RFC 6298, 2.2 and 2.3: gains of 1/8 and 1/4.
    private struct Smoothed: Sendable {
        var roundTrip: Duration
        var variation: Duration
    }

    private mutating func learn(_ sample: Duration) {
        guard let old = smoothed else {
            smoothed = Smoothed(roundTrip: sample, variation: sample / 2)
            return
        }
        let deviation = sample < old.roundTrip ? old.roundTrip - sample : sample - old.roundTrip
        smoothed = Smoothed(
            roundTrip: (old.roundTrip * 7 + sample) / 8, variation: (old.variation * 3 + deviation) / 4)
    }
}
