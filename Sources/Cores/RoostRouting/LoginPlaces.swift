public import RoostModel

/// How many clients may be in the middle of their login: at a service, and from one source.
///
/// A service gives each login one of its few places before it knows who asks (Postgres: one of `max_connections`), so
/// strangers who never finish could keep everybody out. Who finds no place free waits for one, in order of arrival;
/// whoever stands before him and may not go because his source has its share does not hold him up.
///
/// Edges know nothing of each other's clients. So that all of them together ask no more of a service than it has, each has
/// an equal part of what all may have.
public struct LoginPlaces: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Logins at one service, by one edge.
        public var serviceMax: Int
        /// By all edges together. Far below Postgres's 200 connections, of which those who have logged in need some too.
        public var edgesMax: Int
        /// By one edge, however many edges there are. Beyond 36 of them it is more than their part.
        public var serviceMin: Int
        /// Of those at one edge, from one source: as many of this as the edge has of ``serviceMax``.
        public var sourceMax: Int
        /// Clients of one service that wait for a place.
        public var waitingMax: Int
        /// Of them, from one source, once half of the places are taken.
        public var waitingSourceMax: Int

        public init(
            serviceMax: Int = 48, edgesMax: Int = 144, serviceMin: Int = 4, sourceMax: Int = 16,
            waitingMax: Int = 2_000,
            waitingSourceMax: Int = 500
        ) {
            self.serviceMax = serviceMax
            self.edgesMax = edgesMax
            self.serviceMin = serviceMin
            self.sourceMax = sourceMax
            self.waitingMax = waitingMax
            self.waitingSourceMax = waitingSourceMax
        }
    }

    public enum Answer: Hashable, Sendable {
        case given
        /// Named by a later ``giveBack(at:from:)`` or ``leave(_:at:from:)``.
        case wait
        case crowded
        /// Too many from its source wait.
        case sourceCrowded
    }

    private struct Waiter {
        var session: SessionID
        var source: SourcePrefix
    }

    private struct Service {
        var taken = 0
        var bySource: [SourcePrefix: Int] = [:]
        var waiting: [Waiter] = []
        var waitingBySource: [SourcePrefix: Int] = [:]
    }

    public let limits: Limits
    private var services: [AppName: Service] = [:]
    /// Logins at one service, by this edge.
    private(set) var serviceMax: Int
    /// Of them, from one source.
    private(set) var sourceMax: Int

    public init(limits: Limits = Limits()) {
        self.limits = limits
        (serviceMax, sourceMax) = Self.part(of: limits, among: 1)
    }

    private static func part(of limits: Limits, among edges: Int) -> (service: Int, source: Int) {
        let service = min(limits.serviceMax, max(limits.edgesMax / max(edges, 1), limits.serviceMin))
        return (service, max(limits.sourceMax * service / limits.serviceMax, 1))
    }

    /// So many edges lead clients to the services, this one among them. Who has a place keeps it. Where there are more places
    /// now, they go to those who wait, before anybody who comes later.
    ///
    /// - Returns: who waited and has a place now.
    public mutating func share(among edges: Int) -> [SessionID] {
        (serviceMax, sourceMax) = Self.part(of: limits, among: edges)
        return services.keys.sorted().flatMap { callWaiting(at: $0) }
    }

    var isEmpty: Bool { services.isEmpty }

    func taken(at service: AppName) -> Int { services[service]?.taken ?? 0 }

    func taken(at service: AppName, from source: SourcePrefix) -> Int {
        services[service]?.bySource[source] ?? 0
    }

    public mutating func ask(_ session: SessionID, at name: AppName, from source: SourcePrefix) -> Answer {
        var service = services[name] ?? Service()
        if mayEnter(service, source) {
            enter(&service, source)
            services[name] = service
            return .given
        }
        guard service.waiting.count < limits.waitingMax else { return .crowded }
        // While there is room for everybody, one network may take it: behind it may be many honest clients.
        if service.waiting.count >= limits.waitingMax / 2,
            service.waitingBySource[source, default: 0] >= limits.waitingSourceMax
        {
            return .sourceCrowded
        }
        service.waiting.append(Waiter(session: session, source: source))
        service.waitingBySource[source, default: 0] += 1
        services[name] = service
        return .wait
    }

    /// A login is over, whatever became of it.
    ///
    /// - Returns: who waited and has a place now.
    public mutating func giveBack(at name: AppName, from source: SourcePrefix) -> [SessionID] {
        guard services[name] != nil else { return [] }
        services[name]?.taken -= 1
        services[name]?.bySource.countDown(source)
        return callWaiting(at: name)
    }

    private mutating func callWaiting(at name: AppName) -> [SessionID] {
        guard var service = services[name] else { return [] }
        var called: [SessionID] = []
        var stillWaiting: [Waiter] = []
        for (index, waiter) in service.waiting.enumerated() {
            guard service.taken < serviceMax else {
                stillWaiting += service.waiting[index...]
                break
            }
            if mayEnter(service, waiter.source) {
                enter(&service, waiter.source)
                service.waitingBySource.countDown(waiter.source)
                called.append(waiter.session)
            } else {
                stillWaiting.append(waiter)
            }
        }
        service.waiting = stillWaiting
        services[name] = service.taken == 0 && service.waiting.isEmpty ? nil : service
        return called
    }

    /// Waits no longer. A session that was called and has not heard of it yet gives its place back.
    ///
    /// - Returns: who has a place now.
    public mutating func leave(_ session: SessionID, at name: AppName, from source: SourcePrefix) -> [SessionID] {
        guard let place = services[name]?.waiting.firstIndex(where: { $0.session == session }) else {
            return giveBack(at: name, from: source)
        }
        services[name]?.waiting.remove(at: place)
        services[name]?.waitingBySource.countDown(source)
        return []
    }

    private func mayEnter(_ service: Service, _ source: SourcePrefix) -> Bool {
        service.taken < serviceMax && service.bySource[source, default: 0] < sourceMax
    }

    private func enter(_ service: inout Service, _ source: SourcePrefix) {
        service.taken += 1
        service.bySource[source, default: 0] += 1
    }
}
