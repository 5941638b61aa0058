import RoostLinux
import RoostModel
import Synchronization

/// Counts what is under way in one process, at all doors together.
public final class CallBounds: Sendable {
    private let counts = Mutex<[Place: Int]>([:])

    public init() {}

    /// One thing that is counted.
    struct Place: Hashable {
        var name: String
        var whose: String
    }

    /// Runs the work of a call, or refuses it at a bound.
    func hold<Value>(
        _ limit: ConcurrencyLimit?, for call: APICall, _ work: () async throws -> Value
    ) async throws -> Value {
        guard let limit else { return try await work() }
        var places: [(Place, Int)] = []
        if let machine = call.parameters[limit.parameter] {
            places.append((Place(name: limit.name, whose: "machine \(machine)"), limit.perMachine))
        }
        // A host that passes calls on counts its own callers itself.
        if call.forwardedBy == nil {
            places.append((Place(name: limit.name, whose: call.caller.description), limit.perCaller))
        }
        try enter(places)
        defer { leave(places) }
        return try await work()
    }

    private func enter(_ places: [(Place, Int)]) throws(Refusal) {
        try counts.withLock { counts throws(Refusal) in
            for (place, bound) in places where counts[place, default: 0] >= bound {
                throw Refusal(
                    .tooMany, "\(place.whose) has \(bound) \(place.name) under way, as many as may be; try again")
            }
            for (place, _) in places { counts[place, default: 0] += 1 }
        }
    }

    private func leave(_ places: [(Place, Int)]) {
        counts.withLock { counts in
            for (place, _) in places {
                let left = counts[place, default: 1] - 1
                counts[place] = left > 0 ? left : nil
            }
        }
    }
}

/// Lets through so many calls a second, and a burst after a pause.
struct TokenBucket {
    let rate: CallRate
    private var tokens: Double
    private var filledAt: Moment

    init(_ rate: CallRate, at now: Moment) {
        self.rate = rate
        tokens = Double(rate.burst)
        filledAt = now
    }

    /// False: too many.
    mutating func take(at now: Moment) -> Bool {
        let passed = Double((now - filledAt).milliseconds) / 1000
        if passed > 0 {
            tokens = min(Double(rate.burst), tokens + passed * Double(rate.perSecond))
            filledAt = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

/// The buckets of one door, one for each route that has a rate.
final class RouteRates: Sendable {
    private let buckets = Mutex<[String: TokenBucket]>([:])

    func take(_ rate: CallRate?, for route: String, at now: Moment) throws(Refusal) {
        guard let rate else { return }
        let isTaken = buckets.withLock { $0[route, default: TokenBucket(rate, at: now)].take(at: now) }
        guard isTaken else {
            throw Refusal(.tooMany, "more than \(rate.perSecond) calls of \(route) a second; nothing was changed")
        }
    }
}
