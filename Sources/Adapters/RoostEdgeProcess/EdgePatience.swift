import RoostModel

/// How long an edge has been of no use to roostd, of the time in which roostd was awake and lacked nothing itself. A link
/// that is made proves nothing: an edge that takes each one and drops it, or says what leads to nothing, would be borne
/// with for good, and nothing be started beside it.
struct EdgePatience: Hashable, Sendable {
    /// An edge reports every second. One that is silent for so long hangs, and its sessions with it.
    static let silenceMax = Duration.seconds(10)
    /// For an edge to listen after it was started, and once more for it to say what it is after it was reached first.
    static let contactMax = Duration.seconds(10)
    /// Since roostd lacked something last: a link that it drops for that is made again within milliseconds, and an edge says
    /// all that is needed at once, or takes its time as anybody's neighbour does. One that hangs is found so much later.
    static let excuseMax = Duration.seconds(5)

    /// What a round has shown of the link.
    enum Sight: Hashable {
        /// Nothing against it: it is being made, or was read as far as there was anything.
        case open
        /// The edge has ended it, or spoiled it.
        case failed
        /// roostd lacks what it takes to make it or to read it.
        case lack
    }

    /// Since it has said anything.
    private var silence = Duration.zero
    /// In which nobody could tell what it is.
    private var unknown = Duration.zero
    private var wasReached = false
    /// Time that does not count yet: a round that found nothing to read says nothing of what roostd lacks.
    private var excuse = Duration.zero

    /// A link was made.
    mutating func reach() {
        guard !wasReached else { return }
        (silence, unknown, wasReached) = (.zero, .zero, true)
    }

    /// A round has passed.
    /// - Parameters:
    ///   - hasSpoken: anything came.
    ///   - isKnown: it is linked and has said who it is, or is one that cannot be spoken to and has said that.
    mutating func pass(_ time: Duration, hasSpoken: Bool, isKnown: Bool, link: Sight = .open) {
        var counted = time
        switch link {
        case .lack: (counted, excuse) = (.zero, Self.excuseMax)
        case .failed: excuse = .zero
        case .open:
            if isKnown { excuse = .zero }
            counted = max(time - excuse, .zero)
            excuse = max(excuse - time, .zero)
        }
        silence = hasSpoken ? .zero : silence + counted
        unknown = isKnown ? .zero : unknown + counted
    }

    var isOver: Bool { silence > Self.silenceMax || unknown > Self.contactMax }
}
