public import RoostModel

/// Whom a change of the world may concern.
public enum Concern<Thing: Hashable & Sendable>: Hashable, Sendable {
    case things(Set<Thing>)
    case all
}

/// What is to be looked at next: what changed, now and then what is not what it is to be, and seldom everything. So the work
/// grows with what changes, not with what there is.
public struct LookList<Thing: Hashable & Sendable>: Sendable {
    public enum Range: Hashable, Sendable {
        case everything
        case things(Set<Thing>)
    }

    /// What is unfinished is looked at so often whatever changes: that a host answers again is no change, nor is time.
    public static var unfinishedInterval: Duration { .milliseconds(500) }
    /// Everything is looked at so often: a net for what no change told of.
    public static var wholeInterval: Duration { .seconds(60) }

    private var marked: Set<Thing> = []
    private var unfinished: Set<Thing> = []
    private var isWholeDue = true
    private var nextWhole: Moment?
    private var nextUnfinished: Moment?

    /// Everything is due.
    public init() {}

    public mutating func note(_ concern: Concern<Thing>) {
        switch concern {
        case .things(let things): marked.formUnion(things)
        case .all: isWholeDue = true
        }
    }

    /// What is to be looked at now; nil: nothing.
    public mutating func take(at now: Moment) -> Range? {
        if let nextWhole, now >= nextWhole { isWholeDue = true }
        if isWholeDue {
            (isWholeDue, marked) = (false, [])
            (nextWhole, nextUnfinished) = (now + Self.wholeInterval, now + Self.unfinishedInterval)
            return .everything
        }
        if nextUnfinished.map({ now >= $0 }) ?? true {
            nextUnfinished = now + Self.unfinishedInterval
            marked.formUnion(unfinished)
        }
        guard !marked.isEmpty else { return nil }
        defer { marked = [] }
        return .things(marked)
    }

    /// What was looked at, and which of it is not what it is to be.
    public mutating func saw(_ range: Range, unfinished found: Set<Thing>) {
        switch range {
        case .everything: unfinished = found
        case .things(let things): unfinished = unfinished.subtracting(things).union(found)
        }
    }
}
