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
    /// When Postgres was last seen in the stream of the one that it is to follow now.
    private var streamedAt: Moment?
    /// When it was last seen in a stream, of this one or of the one before, of which nobody knew that it is not fed itself. What it
    /// has is as of then, as soon as it has caught up.
    private var fedAt: Moment?
    /// The store says that what it streams from is not fed. A store that is away says nothing.
    private var isStarved = false

    mutating func sampled(isStreaming: Bool, _ now: Moment) {
        guard isStreaming else { return }
        streamedAt = now
        if !isStarved { fedAt = now }
    }

    mutating func heard(isFed: Bool) { isStarved = !isFed }

    /// It is to follow another one, of whose stream nothing has been seen yet. What clients are shown meanwhile is not older for that.
    mutating func forgetUpstream() { streamedAt = nil }

    mutating func forgetStream() { (streamedAt, fedAt) = (nil, nil) }

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
        if breakage == .servesWithoutStream { return fedAt != nil }
        let at = breakage == .trustsStarvedUpstream ? streamedAt : fedAt
        return at.map { now - $0 < Self.standstillMax } ?? false
    }

    /// When it is to be closed if nothing comes; nil: it is not open.
    var closesAt: Moment? {
        guard isOpen, let fedAt else { return nil }
        return fedAt + Self.standstillMax
    }

    /// Why it keeps clients out although it streams, for people.
    func obstacle(to upstream: MemberName?) -> String? {
        if let failure { return "its gate is not as it should be: \(failure)" }
        guard !isOpen, streamedAt != nil, isStarved, let upstream else { return nil }
        return "lets nobody in: \(upstream), which feeds it, is not seen to confirm"
    }
}
