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
///
/// Of each of these numbers one source gets a share only: else who has one network and no password stands in front of
/// everybody else, and where those who try cannot go on (their source has its share of ``LoginPlaces``), nobody would
/// find out that the door is open.
public struct HoldQueue: Sendable {
    public struct Limits: Hashable, Sendable {
        public var waitMax: Duration
        public var edgeMax: Int
        /// Of them, from one source, once half of the places are taken.
        public var edgeSourceMax: Int
        public var doorMax: Int
        /// As at the edge.
        public var doorSourceMax: Int
        /// Sessions let go at once when a route opens, before one of them has succeeded.
        public var burstMax: Int
        public var burstSourceMax: Int
        /// Sessions that try at the same time while attempts fail.
        public var scoutsMax: Int
        public var scoutsSourceMax: Int

        public init(
            waitMax: Duration = .seconds(15), edgeMax: Int = 10_000, edgeSourceMax: Int = 2_500, doorMax: Int = 2_000,
            doorSourceMax: Int = 500, burstMax: Int = 256, burstSourceMax: Int = 64, scoutsMax: Int = 8,
            scoutsSourceMax: Int = 2
        ) {
            self.waitMax = waitMax
            self.edgeMax = edgeMax
            self.edgeSourceMax = edgeSourceMax
            self.doorMax = doorMax
            self.doorSourceMax = doorSourceMax
            self.burstMax = burstMax
            self.burstSourceMax = burstSourceMax
            self.scoutsMax = scoutsMax
            self.scoutsSourceMax = scoutsSourceMax
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
        /// Too many from its source wait for this cluster, or at this edge.
        case sourceCrowded
        /// Waited as long as anybody may.
        case waitedTooLong
    }

    private struct Entry {
        var ticket: HoldTicket
        var session: SessionID
        var source: SourcePrefix
        var isTrying: Bool
    }

    /// Who waits at one door.
    private struct Line {
        /// In order of tickets.
        private(set) var entries: [Entry] = []
        private(set) var bySource: [SourcePrefix: Int] = [:]

        mutating func insert(_ entry: Entry) {
            entries.insert(entry, at: place(of: entry.ticket))
            bySource[entry.source, default: 0] += 1
        }

        mutating func remove(at place: Int) -> Entry {
            let entry = entries.remove(at: place)
            bySource.countDown(entry.source)
            return entry
        }

        mutating func setTrying(_ isTrying: Bool, at place: Int) { entries[place].isTrying = isTrying }

        func index(of ticket: HoldTicket) -> Int? {
            let place = place(of: ticket)
            return place < entries.count && entries[place].ticket == ticket ? place : nil
        }

        /// The first index whose ticket is not before `ticket`.
        private func place(of ticket: HoldTicket) -> Int {
            var range = 0..<entries.count
            while !range.isEmpty {
                let middle = range.lowerBound + range.count / 2
                range = entries[middle].ticket < ticket ? (middle + 1)..<range.upperBound : range.lowerBound..<middle
            }
            return range.lowerBound
        }
    }

    public let limits: Limits
    /// A door where nobody waits is not kept.
    private var lines: [Door: Line] = [:]
    private var bySource: [SourcePrefix: Int] = [:]
    public private(set) var count = 0
    private var nextTicket: UInt64 = 0

    public init(limits: Limits = Limits()) { self.limits = limits }

    func waiting(from source: SourcePrefix) -> Int { bySource[source] ?? 0 }

    /// A new session. `isOpen`: its route has somebody to connect to.
    public mutating func arrive(
        _ session: SessionID, from source: SourcePrefix, at door: Door, isOpen: Bool, now: Moment
    ) -> Decision {
        if isOpen, lines[door] == nil { return .attempt }
        return enter(session, from: source, at: door, ticket: nil, now: now)
    }

    /// An attempt came to nothing. `ticket`: the one it waited with before, if it did.
    public mutating func attemptFailed(
        _ session: SessionID, from source: SourcePrefix, at door: Door, ticket: HoldTicket?, now: Moment
    ) -> Decision {
        enter(session, from: source, at: door, ticket: ticket, now: now)
    }

    /// An attempt reached its backend: everybody who waits goes now, in this order.
    public mutating func attemptSucceeded(_ session: SessionID, at door: Door, ticket: HoldTicket?) -> [SessionID] {
        guard let line = lines.removeValue(forKey: door) else { return [] }
        count -= line.entries.count
        for entry in line.entries { bySource.countDown(entry.source) }
        return line.entries.filter { !$0.isTrying && $0.session != session }.map(\.session)
    }

    /// The route leads to somebody new. The first go now.
    public mutating func opened(_ door: Door) -> [SessionID] {
        call(at: door, upTo: limits.burstMax, ofSource: limits.burstSourceMax)
    }

    /// Time to try again: as many as may, counting those that still try.
    public mutating func retry(_ door: Door) -> [SessionID] {
        call(at: door, upTo: limits.scoutsMax, ofSource: limits.scoutsSourceMax)
    }

    /// The client went away, or its time is over.
    public mutating func leave(_ door: Door, ticket: HoldTicket) {
        guard var line = lines[door], let place = line.index(of: ticket) else { return }
        bySource.countDown(line.remove(at: place).source)
        count -= 1
        lines[door] = line.entries.isEmpty ? nil : line
    }

    private mutating func call(at door: Door, upTo max: Int, ofSource sourceMax: Int) -> [SessionID] {
        guard var line = lines[door] else { return [] }
        var trying: [SourcePrefix: Int] = [:]
        for entry in line.entries where entry.isTrying { trying[entry.source, default: 0] += 1 }
        // More than its share does not count: a source whose sessions got stuck takes nothing from the others.
        var free = max - trying.values.reduce(0) { $0 + min($1, sourceMax) }
        var called: [SessionID] = []
        for (place, entry) in line.entries.enumerated() where free > 0 && !entry.isTrying {
            guard trying[entry.source, default: 0] < sourceMax else { continue }
            trying[entry.source, default: 0] += 1
            line.setTrying(true, at: place)
            called.append(entry.session)
            free -= 1
        }
        lines[door] = line
        return called
    }

    private mutating func enter(
        _ session: SessionID, from source: SourcePrefix, at door: Door, ticket old: HoldTicket?, now: Moment
    ) -> Decision {
        var line = lines[door] ?? Line()
        if let old {
            guard now < old.deadline else {
                leave(door, ticket: old)
                return .refuse(.waitedTooLong)
            }
            if let place = line.index(of: old) {
                line.setTrying(false, at: place)
                lines[door] = line
                return .wait(old)
            }
        }
        guard count < limits.edgeMax, line.entries.count < limits.doorMax else { return .refuse(.crowded) }
        // While there is room for everybody, one network may take it: behind it may be many honest clients.
        if count >= limits.edgeMax / 2, bySource[source, default: 0] >= limits.edgeSourceMax {
            return .refuse(.sourceCrowded)
        }
        if line.entries.count >= limits.doorMax / 2, line.bySource[source, default: 0] >= limits.doorSourceMax {
            return .refuse(.sourceCrowded)
        }
        let ticket = old ?? HoldTicket(number: nextTicket, deadline: now + limits.waitMax)
        if old == nil { nextTicket += 1 }
        line.insert(Entry(ticket: ticket, session: session, source: source, isTrying: false))
        lines[door] = line
        bySource[source, default: 0] += 1
        count += 1
        return .wait(ticket)
    }
}
