import RoostModel

/// What the guard announces: what was last reported, as long as reports keep coming.
struct DeadManSwitch: Hashable, Sendable {
    /// Six reports may be missed by a busy host before it is taken for hung.
    static let patience = Duration.milliseconds(600)

    private struct Report: Hashable, Sendable {
        var health: EdgeHealth
        var at: Moment
    }

    private var last: Report?

    mutating func report(_ health: EdgeHealth, at now: Moment) { last = Report(health: health, at: now) }

    func wanted(at now: Moment) -> EdgeHealth {
        guard let last, now - last.at < Self.patience else { return .down }
        return last.health
    }

    /// When ``wanted(at:)`` changes by itself; nil when it does not.
    func deadline(at now: Moment) -> Moment? {
        guard let last, last.health != .down, now - last.at < Self.patience else { return nil }
        return last.at + Self.patience
    }
}
