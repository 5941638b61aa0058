import RoostModel

/// How long an edge has been of no use to roostd, of the time in which roostd was awake and lacked nothing itself. A link
/// that is made proves nothing: an edge that takes each one and drops it, or says what leads to nothing, would be borne
/// with for good, and nothing be started beside it.
struct EdgePatience: Hashable, Sendable {
    /// An edge reports every second. One that is silent for so long hangs, and its sessions with it.
    static let silenceMax = Duration.seconds(10)
    /// For an edge to listen after it was started, and once more for it to say what it is after it was reached first.
    static let contactMax = Duration.seconds(10)

    /// Since it has said anything.
    private var silence = Duration.zero
    /// In which nobody could tell what it is.
    private var unknown = Duration.zero
    private var wasReached = false

    /// A link was made.
    mutating func reach() {
        guard !wasReached else { return }
        (silence, unknown, wasReached) = (.zero, .zero, true)
    }

    /// A round has passed.
    /// - Parameters:
    ///   - hasSpoken: anything came.
    ///   - isKnown: it is linked and has said who it is, or is one that cannot be spoken to and has said that.
    mutating func pass(_ time: Duration, hasSpoken: Bool, isKnown: Bool) {
        silence = hasSpoken ? .zero : silence + time
        unknown = isKnown ? .zero : unknown + time
    }

    var isOver: Bool { silence > Self.silenceMax || unknown > Self.contactMax }
}
