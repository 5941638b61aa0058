import DequeModule
public import RoostModel

/// What the probes of one path have shown: smoothed round trip, jitter, the loss of the recent window, and whether the
/// other end answers.
///
/// Both are measured in time, since how often a path is probed depends on how many there are: the loss over
/// ``Limits/window``, or longer where that has too few probes to say anything, and silence over ``Limits/silence``.
///
/// A pure value. The caller sends a probe whenever it likes, tells this value so, hands in each answer, and reads.
/// A broken direction is a loss like any other: a probe counts only when its answer came back.
public struct PathStatistics: Sendable {
    public struct Limits: Hashable, Sendable {
        /// The loss is counted over probes so young,
        public var window: Duration
        /// and over so many in any case, of whatever age: one of twenty is 5 %.
        public var windowProbesMin: Int
        /// A path on which no probe of so long was answered leads nowhere;
        public var silence: Duration
        /// but so many must have been lost, one after the other: on a path that loses a tenth, one of 100,000 times.
        public var silenceProbesMin: Int
        /// An answer is waited for at least this long, however short the round trip: a busy host is not a bad path.
        public var patienceMin: Duration
        /// And at most this long, which also holds until the first answer.
        public var patienceMax: Duration
        /// What an answer may be late by itself, on the steadiest path (RFC 6298's G): both ends look at their packets
        /// so many times a second only.
        public var granularity: Duration

        public init(
            window: Duration = .seconds(5), windowProbesMin: Int = 20, silence: Duration = .seconds(5),
            silenceProbesMin: Int = 5, patienceMin: Duration = .milliseconds(200), patienceMax: Duration = .seconds(1),
            granularity: Duration = .milliseconds(100)
        ) {
            precondition(windowProbesMin >= silenceProbesMin && silenceProbesMin > 0 && patienceMin <= patienceMax)
            self.window = window
            self.windowProbesMin = windowProbesMin
            self.silence = silence
            self.silenceProbesMin = silenceProbesMin
            self.patienceMin = patienceMin
            self.patienceMax = patienceMax
            self.granularity = granularity
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
        while probes.count >= limits.windowProbesMin, let first = probes.first, now - first.sentAt >= limits.window {
            probes.removeFirst()
        }
        let number = UInt32(truncatingIfNeeded: probesSent)
        probes.append(Probe(number: number, sentAt: now, state: .waiting))
        probesSent += 1
        return number
    }

    /// - Parameters:
    ///   - now: when the answer came.
    ///   - held: for so long the other end kept the probe before it answered; not a part of the path. More than the
    ///     whole time is not believed.
    public mutating func answer(_ number: UInt32, at now: Moment, held: Duration = .zero) -> Verdict {
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
        let all = now - probes[index].sentAt
        learn(held < all ? all - held : all)
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

    /// How long an answer is waited for now: RFC 6298's time-out (round trip plus four times its variation, which is
    /// not taken for less than the granularity) within the limits.
    public var patience: Duration {
        guard let smoothed else { return limits.patienceMax }
        let late = max(smoothed.variation * 4, limits.granularity)
        return min(max(smoothed.roundTrip + late, limits.patienceMin), limits.patienceMax)
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

    /// Probes lost without one answered after them, of those that were sent from this moment on.
    public func lostInARow(since begin: Moment = .zero) -> Int {
        var count = 0
        for probe in probes.reversed() where probe.sentAt >= begin {
            switch probe.state {
            case .waiting: continue
            case .lost: count += 1
            case .answered: return count
            }
        }
        return count
    }

    /// Whether the other end answers: of the probes whose fate is known, one was answered that is not older than
    /// ``Limits/silence``, or one of the last ``Limits/silenceProbesMin``.
    public func isAnswering(at now: Moment) -> Bool {
        var lost = 0
        for probe in probes.reversed() {
            switch probe.state {
            case .waiting: continue
            case .answered: return true
            case .lost:
                lost += 1
                if lost >= limits.silenceProbesMin, now - probe.sentAt >= limits.silence { return false }
            }
        }
        return false
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
