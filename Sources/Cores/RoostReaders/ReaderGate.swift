import RoostModel

/// When a reader lets clients in: while its stream comes, and what it streams from is fed itself.
struct ReaderGate: Hashable, Sendable {
    /// A stream that has stood still for so long shows nobody anything any more.
    static let standstillMax = Duration.seconds(10)
    /// A sample of Postgres is taken five times a second, and a stream that pauses for longer than this is none.
    private static let pauseMax = Duration.seconds(2)

    /// What was last asked for.
    private(set) var isOpen = false
    /// It is open: the host, and Postgres's own rules, let clients in.
    private(set) var stands = false
    /// Why what was asked for could not be.
    private var failure: String?
    /// When Postgres was last seen in the stream, of those that it follows now.
    private var streamedAt: Moment?
    /// Since when the store says that what it streams from is not fed. A store that is away says nothing.
    private var starvedSince: Moment?

    mutating func sampled(isStreaming: Bool, _ now: Moment) { if isStreaming { streamedAt = now } }

    mutating func heard(isFed: Bool, _ now: Moment) { starvedSince = isFed ? nil : starvedSince ?? now }

    mutating func forgetStream() { streamedAt = nil }

    mutating func set(isOpen: Bool) {
        guard self.isOpen != isOpen else { return }
        (self.isOpen, stands, failure) = (isOpen, false, nil)
    }

    /// Clients are in when they are let in, not when somebody was asked to let them in.
    mutating func answered(isOpen: Bool, _ failure: String?) {
        guard isOpen == self.isOpen else { return }
        self.failure = failure
        stands = isOpen && failure == nil
    }

    /// It streams at this moment, as far as samples tell.
    func streams(_ now: Moment) -> Bool { streamedAt.map { now - $0 <= Self.pauseMax } ?? false }

    func mayOpen(_ now: Moment, _ breakage: ReaderBreakage?) -> Bool {
        let isStarved = starvedSince.map { now - $0 >= Self.standstillMax } ?? false
        if isStarved, breakage != .trustsStarvedUpstream { return false }
        if breakage == .servesWithoutStream { return streamedAt != nil }
        return streamedAt.map { now - $0 < Self.standstillMax } ?? false
    }

    /// When it is to be closed if nothing comes; nil: it is not open.
    var closesAt: Moment? {
        guard isOpen, let streamedAt else { return nil }
        return min(streamedAt, starvedSince ?? streamedAt) + Self.standstillMax
    }

    /// Why it keeps clients out although it streams, for people.
    func obstacle(to upstream: MemberName?) -> String? {
        if let failure { return "its gate is not as it should be: \(failure)" }
        guard !isOpen, streamedAt != nil, starvedSince != nil, let upstream else { return nil }
        return "lets nobody in: \(upstream), which feeds it, is not seen to confirm"
    }
}
