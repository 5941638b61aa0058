public import RoostModel

/// Who may be connected: how many in all, from one source, and to one service, and how many new ones a source may bring in
/// a time. No stranger can take everybody's place, nor the time that an edge has for handshakes.
///
/// It counts and never waits. What may wait is the business of ``HoldQueue`` and ``LoginPlaces``.
public struct Admission: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Connections of an edge.
        public var edgeMax: Int
        /// Connections from one source.
        public var sourceMax: Int
        /// Connections from one source that have not said yet what they want.
        public var sourceOpeningsMax: Int
        /// Connections to one service.
        public var serviceMax: Int
        /// Connections that are being told that they are too many.
        public var refusalsMax: Int
        /// Of them, from one source.
        public var refusalsSourceMax: Int
        /// New connections from one source: at once, as many as it may have, so that all of its clients can come back
        /// together; and then each second. Each costs the edge a TLS handshake (a signature, a key agreement) before
        /// anybody knows who it is, and who hangs up and comes again is bounded by no count.
        public var sourceArrivals: RateLimit
        /// What is beyond that is taken from this, which all sources share. So one network may bring more while there is
        /// time for it, and takes nothing of what is another's own.
        public var spareArrivals: RateLimit
        /// Cancel requests from one source, and to one service: at once, and then each second.
        public var sourceCancels: RateLimit
        public var serviceCancels: RateLimit

        public init(
            edgeMax: Int = 20_000, sourceMax: Int = 4_000, sourceOpeningsMax: Int = 1_000, serviceMax: Int = 8_000,
            refusalsMax: Int = 512, refusalsSourceMax: Int = 128,
            sourceArrivals: RateLimit = RateLimit(burst: 4_000, perSecond: 200),
            spareArrivals: RateLimit = RateLimit(burst: 1_000, perSecond: 1_000),
            sourceCancels: RateLimit = RateLimit(burst: 50, perSecond: 10),
            serviceCancels: RateLimit = RateLimit(burst: 200, perSecond: 50)
        ) {
            self.edgeMax = edgeMax
            self.sourceMax = sourceMax
            self.sourceOpeningsMax = sourceOpeningsMax
            self.serviceMax = serviceMax
            self.refusalsMax = refusalsMax
            self.refusalsSourceMax = refusalsSourceMax
            self.sourceArrivals = sourceArrivals
            self.spareArrivals = spareArrivals
            self.sourceCancels = sourceCancels
            self.serviceCancels = serviceCancels
        }
    }

    public enum Refusal: Error, Hashable, Sendable {
        case edgeFull
        case sourceFull
        /// Too many came from its source lately.
        case sourceHurried
        case serviceFull
    }

    /// What a connection was told at the door.
    public enum Answer: Hashable, Sendable {
        /// It counts. ``leave(_:)`` when it ends.
        case admitted(Place)
        /// It counts among those that are told why. ``leave(_:)`` when it ends.
        case refused(Refusal, Place)
        /// Too many are being told already: close at once.
        case dropped
    }

    /// What a connection is counted under.
    public struct Place: Hashable, Sendable {
        fileprivate enum Kind: Hashable {
            case opening
            case joined(AppName)
            case refused
            /// From the edge's own host: the health check, or an operator who looks what is wrong.
            case exempt
        }

        public let source: SourcePrefix
        fileprivate var kind: Kind
        /// From the edge's own host: no client.
        public var isOwn: Bool { kind == .exempt }
    }

    private struct Source {
        var connections = 0
        var openings = 0
        var refusals = 0
        var isEmpty: Bool { connections == 0 && openings == 0 && refusals == 0 }
    }

    /// The key of what all sources share.
    private enum Shared: Hashable { case spare }

    public let limits: Limits
    private(set) var connections = 0
    private(set) var refusals = 0
    private var sources: [SourcePrefix: Source] = [:]
    private var services: [AppName: Int] = [:]
    private var sourceArrivals: RateMeter<SourcePrefix>
    private var spareArrivals: RateMeter<Shared>
    private var sourceCancels: RateMeter<SourcePrefix>
    private var serviceCancels: RateMeter<AppName>

    public init(limits: Limits = Limits()) {
        self.limits = limits
        sourceArrivals = RateMeter(limit: limits.sourceArrivals)
        spareArrivals = RateMeter(limit: limits.spareArrivals)
        sourceCancels = RateMeter(limit: limits.sourceCancels)
        serviceCancels = RateMeter(limit: limits.serviceCancels)
    }

    /// Nobody is counted any more.
    var isEmpty: Bool { connections == 0 && refusals == 0 && sources.isEmpty && services.isEmpty }

    /// A connection was accepted. `isOwn`: it comes from the edge's own host.
    public mutating func arrive(from source: SourcePrefix, isOwn: Bool = false, now: Moment) -> Answer {
        if isOwn {
            connections += 1
            return .admitted(Place(source: source, kind: .exempt))
        }
        var known = sources[source] ?? Source()
        if let refusal = refusal(of: source, known, now: now) {
            guard refusals < limits.refusalsMax, known.refusals < limits.refusalsSourceMax else { return .dropped }
            refusals += 1
            known.refusals += 1
            sources[source] = known
            return .refused(refusal, Place(source: source, kind: .refused))
        }
        connections += 1
        known.connections += 1
        known.openings += 1
        sources[source] = known
        return .admitted(Place(source: source, kind: .opening))
    }

    /// Who is refused costs no handshake, and so nothing of its source's rate.
    private mutating func refusal(of source: SourcePrefix, _ known: Source, now: Moment) -> Refusal? {
        if connections >= limits.edgeMax { return .edgeFull }
        if known.connections >= limits.sourceMax || known.openings >= limits.sourceOpeningsMax { return .sourceFull }
        let isInTime = sourceArrivals.take(source, now: now) || spareArrivals.take(.spare, now: now)
        return isInTime ? nil : .sourceHurried
    }

    /// It has said which service it came for.
    public mutating func join(_ service: AppName, _ place: inout Place) throws(Refusal) {
        guard case .opening = place.kind else { return }
        guard services[service, default: 0] < limits.serviceMax else { throw .serviceFull }
        services[service, default: 0] += 1
        sources[place.source]?.openings -= 1
        place.kind = .joined(service)
    }

    public mutating func leave(_ place: Place) {
        switch place.kind {
        case .refused:
            refusals -= 1
            sources[place.source]?.refusals -= 1
            forget(place.source)
        case .exempt:
            connections -= 1
        case .opening:
            sources[place.source]?.openings -= 1
            leaveSource(place.source)
        case .joined(let service):
            let left = (services[service] ?? 1) - 1
            services[service] = left == 0 ? nil : left
            leaveSource(place.source)
        }
    }

    private mutating func leaveSource(_ source: SourcePrefix) {
        connections -= 1
        sources[source]?.connections -= 1
        forget(source)
    }

    private mutating func forget(_ source: SourcePrefix) {
        if sources[source]?.isEmpty ?? false { sources[source] = nil }
    }

    /// A cancel request needs no login, and every one of them is a connection to each member: they are bounded in
    /// time, by source and by service.
    public mutating func mayCancel(from source: SourcePrefix, to service: AppName, now: Moment) -> Bool {
        sourceCancels.take(source, now: now) && serviceCancels.take(service, now: now)
    }
}
