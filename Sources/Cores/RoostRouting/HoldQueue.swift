public import RoostModel

/// One client connection of an edge.
public struct SessionID: Hashable, Sendable, Comparable {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Which of a service's two ports a client came to.
public enum Access: String, Hashable, Sendable, CaseIterable {
    /// Port 5432: the primary, and nothing but the primary.
    case write
    /// Port 5433: the nearest replica that keeps up.
    case read
}

/// One door of a cluster. Whoever waits for the primary does not stand in the way of whoever waits for a replica.
public struct Door: Hashable, Sendable {
    public var app: AppName
    public var access: Access

    public init(app: AppName, access: Access) {
        self.app = app
        self.access = access
    }
}

/// A place in the queue, kept through every attempt: who came first goes first, and nobody waits longer for trying.
public struct HoldTicket: Hashable, Sendable, Comparable {
    public let number: UInt64
    public let deadline: Moment
    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Client connections that wait for a backend: how many, how long, and who goes next.
///
/// A session that finds an open route and nobody waiting does not wait at all. When an attempt fails, or the route is
/// not open, it waits, in order of arrival. When the route opens, the first few go; while they fail, a handful tries
/// again at each retry; the first that succeeds opens the door for everybody. So a dead primary sees a bounded number
/// of attempts, however many clients wait for it.
public struct HoldQueue: Sendable {
    public struct Limits: Hashable, Sendable {
        public var waitMax: Duration
        public var edgeMax: Int
        public var doorMax: Int
        /// Sessions let go at once when a route opens, before one of them has succeeded.
        public var burstMax: Int
        /// Sessions that try at the same time while attempts fail.
        public var scoutsMax: Int

        public init(
            waitMax: Duration = .seconds(15), edgeMax: Int = 10_000, doorMax: Int = 2_000, burstMax: Int = 256,
            scoutsMax: Int = 8
        ) {
            self.waitMax = waitMax
            self.edgeMax = edgeMax
            self.doorMax = doorMax
            self.burstMax = burstMax
            self.scoutsMax = scoutsMax
        }
    }

    public enum Decision: Hashable, Sendable {
        /// Connect now.
        case attempt
        /// Wait until called, at most until the ticket's deadline.
        case wait(HoldTicket)
        /// Answer with this and close.
        case refuse(Refusal)
    }

    public enum Refusal: Error, Hashable, Sendable {
        /// Too many wait for this cluster, or at this edge.
        case crowded
        /// Waited as long as anybody may.
        case waitedTooLong
    }

    private struct Entry {
        var ticket: HoldTicket
        var session: SessionID
        var isTrying: Bool
    }

    public let limits: Limits
    /// In order of tickets. A door without entries is not kept.
    private var entries: [Door: [Entry]] = [:]
    public private(set) var count = 0
    private var nextTicket: UInt64 = 0

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// A new session. `isOpen`: its route has somebody to connect to.
    public mutating func arrive(_ session: SessionID, at door: Door, isOpen: Bool, now: Moment) -> Decision {
        if isOpen, entries[door] == nil { return .attempt }
        return enter(session, at: door, ticket: nil, now: now)
    }

    /// An attempt came to nothing. `ticket`: the one it waited with before, if it did.
    public mutating func attemptFailed(_ session: SessionID, at door: Door, ticket: HoldTicket?, now: Moment)
        -> Decision
    {
        enter(session, at: door, ticket: ticket, now: now)
    }

    /// An attempt reached its backend: everybody who waits goes now, in this order.
    public mutating func attemptSucceeded(_ session: SessionID, at door: Door, ticket: HoldTicket?) -> [SessionID] {
        guard let waiting = entries.removeValue(forKey: door) else { return [] }
        count -= waiting.count
        return waiting.filter { !$0.isTrying && $0.session != session }.map(\.session)
    }

    /// The route leads to somebody new. The first go now.
    public mutating func opened(_ door: Door) -> [SessionID] { call(at: door, upTo: limits.burstMax) }

    /// Time to try again: as many as may, counting those that still try.
    public mutating func retry(_ door: Door) -> [SessionID] { call(at: door, upTo: limits.scoutsMax) }

    /// The client went away, or its time is over.
    public mutating func leave(_ door: Door, ticket: HoldTicket) {
        guard var waiting = entries[door] else { return }
        let place = Self.place(of: ticket, in: waiting)
        guard place < waiting.count, waiting[place].ticket == ticket else { return }
        waiting.remove(at: place)
        count -= 1
        entries[door] = waiting.isEmpty ? nil : waiting
    }

    private mutating func call(at door: Door, upTo max: Int) -> [SessionID] {
        guard var waiting = entries[door] else { return [] }
        var free = max - waiting.count(where: \.isTrying)
        var called: [SessionID] = []
        for index in waiting.indices where free > 0 && !waiting[index].isTrying {
            waiting[index].isTrying = true
            called.append(waiting[index].session)
            free -= 1
        }
        entries[door] = waiting
        return called
    }

    private mutating func enter(_ session: SessionID, at door: Door, ticket old: HoldTicket?, now: Moment)
        -> Decision
    {
        var waiting = entries[door] ?? []
        if let old {
            let place = Self.place(of: old, in: waiting)
            let isKept = place < waiting.count && waiting[place].ticket == old
            guard now < old.deadline else {
                if isKept { leave(door, ticket: old) }
                return .refuse(.waitedTooLong)
            }
            if isKept {
                waiting[place].isTrying = false
                entries[door] = waiting
                return .wait(old)
            }
        }
        guard count < limits.edgeMax, waiting.count < limits.doorMax else { return .refuse(.crowded) }
        let ticket = old ?? HoldTicket(number: nextTicket, deadline: now + limits.waitMax)
        if old == nil { nextTicket += 1 }
        waiting.insert(
            Entry(ticket: ticket, session: session, isTrying: false), at: Self.place(of: ticket, in: waiting))
        entries[door] = waiting
        count += 1
        return .wait(ticket)
    }

    /// The first index whose ticket is not before `ticket`.
    private static func place(of ticket: HoldTicket, in waiting: [Entry]) -> Int {
        var range = 0..<waiting.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = waiting[middle].ticket < ticket ? (middle + 1)..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }
}
