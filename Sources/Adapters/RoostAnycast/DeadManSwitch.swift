import RoostModel
import RoostWire

/// What an edge is taken for: what it reported last, as long as reports keep coming.
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

/// What the guard announces: no more than roostd wants, and no more than the best of the edges says of itself. There are
/// two of them while one replaces the other.
struct GuardJudgement: Hashable, Sendable {
    /// The newest are watched; there are never so many.
    static let edgesMax = 8

    var order = EdgeHealth.down
    private(set) var edges: [Int32: DeadManSwitch] = [:]

    mutating func watch(_ edge: Int32) { edges[edge] = DeadManSwitch() }

    mutating func lose(_ edge: Int32) { edges[edge] = nil }

    mutating func report(_ health: EdgeHealth, of edge: Int32, at now: Moment) {
        edges[edge]?.report(health, at: now)
    }

    func wanted(at now: Moment) -> EdgeHealth {
        let said = edges.values.map { $0.wanted(at: now) }
        return switch order {
        case .down: .down
        case .draining: said.contains { $0 != .down } ? .draining : .down
        case .healthy: said.contains(.healthy) ? .healthy : said.contains(.draining) ? .draining : .down
        }
    }

    /// When ``wanted(at:)`` may change by itself; nil when it does not.
    func deadline(at now: Moment) -> Moment? { edges.values.compactMap { $0.deadline(at: now) }.min() }
}
