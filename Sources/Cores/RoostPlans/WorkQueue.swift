public import RoostModel

/// Which things are to be worked on now: each by one worker at a time, and after a failure not before a pause that
/// grows. A thing that cannot get on holds up no other.
public struct WorkQueue<Thing: Hashable & Sendable>: Sendable {
    private struct Standing {
        var isBusy = false
        var failures = 0
        /// Not before this; nil: at once.
        var due: Moment?
    }

    public static var pauseFirst: Duration { .milliseconds(500) }
    public static var pauseMax: Duration { .seconds(15) }

    private var standings: [Thing: Standing] = [:]
    private let workersMax: Int

    public init(workersMax: Int) { self.workersMax = workersMax }

    /// Takes those of the given things that may be worked on now, in the given order, as far as there are workers.
    /// Of what was looked at, things that are not among them any more are forgotten unless somebody works on them.
    ///
    /// - Parameter lookedAt: nil: everything was.
    public mutating func take(_ things: [Thing], of lookedAt: Set<Thing>? = nil, at now: Moment) -> [Thing] {
        let present = Set(things)
        standings = standings.filter { thing, standing in
            standing.isBusy || present.contains(thing) || lookedAt.map { !$0.contains(thing) } ?? false
        }
        var free = workersMax - standings.values.count { $0.isBusy }
        var taken: [Thing] = []
        for thing in things where free > 0 {
            var standing = standings[thing] ?? Standing()
            if standing.isBusy { continue }
            if let due = standing.due, now < due { continue }
            standing.isBusy = true
            standings[thing] = standing
            taken.append(thing)
            free -= 1
        }
        return taken
    }

    public mutating func finished(_ thing: Thing, succeeded: Bool, at now: Moment) {
        guard var standing = standings[thing] else { return }
        standing.isBusy = false
        standing.failures = succeeded ? 0 : standing.failures + 1
        standing.due = succeeded ? nil : now + Self.pause(after: standing.failures)
        standings[thing] = standing
    }

    static func pause(after failures: Int) -> Duration {
        var pause = pauseFirst
        for _ in 1..<max(failures, 1) where pause < pauseMax { pause = pause * 2 }
        return min(pause, pauseMax)
    }
}
