public import RoostModel

/// Why a member did not leave a leader that it heard no more, or why that was not enough.
public enum SilenceDoubt: Hashable, Sendable {
    /// It was never heard, not in this epoch, or not to be open.
    case neverOpen
    /// It was heard to be open for so long, and that is too short.
    case heardBriefly(Duration)
    /// It was heard again after a gap so long before.
    case gapBefore(Duration)
    /// Others had been left too soon: it has to be heard to be open for so long, and was for less.
    case leadersLeftTooSoon(calm: Duration, heard: Duration)
    /// Its Postgres went on speaking.
    case streamGoesOn
    /// What its Postgres said since was not known.
    case streamUnknown
    /// No other member missed it.
    case missedAlone
    /// Another member heard it.
    case heardByAnother

    /// For people.
    public var words: String {
        switch self {
        case .neverOpen: "it was not heard to be open"
        case .heardBriefly(let heard): "it was heard to be open for \(heard.milliseconds) ms only"
        case .gapBefore(let ago): "there was a gap \(ago.milliseconds) ms before"
        case .leadersLeftTooSoon(let calm, let heard):
            "leaders were left too soon: it was open for \(heard.milliseconds) ms, of \(calm.milliseconds) ms"
        case .streamGoesOn: "its Postgres was heard"
        case .streamUnknown: "whether its Postgres was heard was not known"
        case .missedAlone: "no other member missed it"
        case .heardByAnother: "another member heard it"
        }
    }
}

/// A leader that was left, and that was silent for longer than beats need to show it.
public struct DoubtedSilence: Hashable, Sendable {
    /// The leader's.
    public var epoch: Epoch
    /// The last doubt…
    public var doubt: SilenceDoubt
    /// …and how long after the leader's last beat it was there still.
    public var lasted: Duration
}
