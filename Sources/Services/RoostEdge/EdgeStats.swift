import RoostLinux
import Synchronization

/// What an edge has done since it started, and what it holds now.
public struct EdgeStats: Hashable, Sendable, Codable {
    /// Client connections now, in any state.
    public var sessions = 0
    /// Sessions now that reached a backend.
    public var relaying = 0
    /// Sessions now that wait for a backend.
    public var held = 0
    /// Connections accepted.
    public var accepted = 0
    /// Sessions that reached a backend.
    public var established = 0
    /// Sessions that had to wait first.
    public var everHeld = 0
    /// Sessions cut because their cluster's route changed.
    public var cut = 0
    /// Connections answered with an error of the edge's own.
    public var refused = 0
    /// Attempts to reach a backend that came to nothing.
    public var attemptsFailed = 0
    /// Cancel requests passed on, and those that were too many.
    public var cancels = 0
    public var cancelsRefused = 0
    /// Connections to addresses that no service has.
    public var strays = 0
    /// Times this host was out of ports, files or memory.
    public var shortages = 0
    /// Connections accepted in TLS.
    public var tls = 0
    /// Listeners that are open and that should be.
    public var listenersOpen = 0
    public var listenersWanted = 0

    public init() {}

    /// Each count under the name that it has in JSON.
    var byName: [String: Int] {
        (try? JSONFile.decode([String: Int].self, from: JSONFile.encode(self))) ?? [:]
    }

    enum CodingKeys: String, CodingKey {
        case sessions, relaying, held, accepted, established
        case everHeld = "ever_held"
        case cut, refused
        case attemptsFailed = "attempts_failed"
        case cancels
        case cancelsRefused = "cancels_refused"
        case strays, shortages, tls
        case listenersOpen = "listeners_open"
        case listenersWanted = "listeners_wanted"
    }
}

/// Counted by all event loops.
final class EdgeCounters: Sendable {
    let sessions = Atomic(0)
    let relaying = Atomic(0)
    let accepted = Atomic(0)
    let established = Atomic(0)
    let everHeld = Atomic(0)
    let cut = Atomic(0)
    let refused = Atomic(0)
    let attemptsFailed = Atomic(0)
    let cancels = Atomic(0)
    let cancelsRefused = Atomic(0)
    let strays = Atomic(0)
    let shortages = Atomic(0)
    /// When the last one was, in milliseconds since boot; before all time at first.
    let lastShortage = Atomic(Int.min / 2)
    let tls = Atomic(0)
    /// Grows with every client that was told something; those that were dropped, and the edge's own checks, are none.
    let answers = Atomic(0)

    var stats: EdgeStats {
        var stats = EdgeStats()
        stats.sessions = sessions.load(ordering: .relaxed)
        stats.relaying = relaying.load(ordering: .relaxed)
        stats.accepted = accepted.load(ordering: .relaxed)
        stats.established = established.load(ordering: .relaxed)
        stats.everHeld = everHeld.load(ordering: .relaxed)
        stats.cut = cut.load(ordering: .relaxed)
        stats.refused = refused.load(ordering: .relaxed)
        stats.attemptsFailed = attemptsFailed.load(ordering: .relaxed)
        stats.cancels = cancels.load(ordering: .relaxed)
        stats.cancelsRefused = cancelsRefused.load(ordering: .relaxed)
        stats.strays = strays.load(ordering: .relaxed)
        stats.shortages = shortages.load(ordering: .relaxed)
        stats.tls = tls.load(ordering: .relaxed)
        return stats
    }
}

extension Atomic where Value == Int {
    func increment() { add(1, ordering: .relaxed) }
    func decrement() { subtract(1, ordering: .relaxed) }
}
