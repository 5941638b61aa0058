import RoostModel
import RoostPaths

/// The peers that are probed and what was measured. A pure value; the thread that owns the socket carries it out.
struct ProbeTable: Sendable {
    struct Outgoing: Sendable {
        var destination: UnderlayEndpoint
        var packet: ProbePacket
    }

    private struct Target: Sendable {
        var host: HostName
        var endpoint: UnderlayEndpoint
        var statistics: PathStatistics
        var due: Moment
    }

    /// Sorted by host, so that the probes of a round always leave in the same order.
    private var targets: [Target] = []
    private var indexByEndpoint: [UnderlayEndpoint: Int] = [:]

    /// Replaces the peers. One that stays at its address keeps what was measured.
    mutating func setTargets(_ peers: [(host: HostName, endpoint: UnderlayEndpoint)], now: Moment) {
        let sorted = peers.sorted { $0.host < $1.host }
        let old = targets
        targets = sorted.enumerated().map { index, peer in
            let due = ProbeSchedule.firstProbe(of: index, peers: sorted.count, from: now)
            if let known = old.first(where: { $0.host == peer.host && $0.endpoint == peer.endpoint }) {
                return Target(
                    host: peer.host, endpoint: peer.endpoint, statistics: known.statistics,
                    due: old.count == sorted.count ? known.due : due)
            }
            return Target(host: peer.host, endpoint: peer.endpoint, statistics: PathStatistics(), due: due)
        }
        indexByEndpoint = [:]
        for (index, target) in targets.enumerated() { indexByEndpoint[target.endpoint] = index }
    }

    /// When ``takeDue(now:)`` has something next; nil without peers.
    var nextDue: Moment? { targets.map(\.due).min() }

    mutating func takeDue(now: Moment) -> [Outgoing] {
        var outgoing: [Outgoing] = []
        for index in targets.indices where targets[index].due <= now {
            let number = targets[index].statistics.send(at: now)
            outgoing.append(
                Outgoing(
                    destination: targets[index].endpoint,
                    packet: ProbePacket(kind: .probe, number: number, sentNanoseconds: Self.nanoseconds(now))))
            targets[index].due = ProbeSchedule.next(after: targets[index].due, peers: targets.count, now: now)
        }
        return outgoing
    }

    /// What is to be sent back, if anything. Only peers are answered and believed.
    mutating func receive(_ packet: ProbePacket, from source: UnderlayEndpoint, now: Moment) -> Outgoing? {
        guard let index = indexByEndpoint[source] else { return nil }
        switch packet.kind {
        case .probe:
            var answer = packet
            answer.kind = .answer
            return Outgoing(destination: source, packet: answer)
        case .answer:
            guard let sentAt = targets[index].statistics.sentAt(packet.number),
                Self.nanoseconds(sentAt) == packet.sentNanoseconds
            else { return nil }
            _ = targets[index].statistics.answer(packet.number, at: now)
            return nil
        }
    }

    mutating func measurements(now: Moment) -> [PathMeasurement] {
        targets.indices.map { index in
            targets[index].statistics.expire(at: now)
            let statistics = targets[index].statistics
            return PathMeasurement(
                peer: targets[index].host, roundTripMicroseconds: statistics.roundTrip.map(Self.microseconds),
                jitterMicroseconds: statistics.jitter.map(Self.microseconds), lossPercent: statistics.loss * 100,
                probesSent: statistics.probesSent, probesAnswered: statistics.probesAnswered)
        }
    }

    private static func nanoseconds(_ moment: Moment) -> UInt64 {
        let parts = moment.sinceBoot.components
        return UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
    }

    private static func microseconds(_ duration: Duration) -> Int64 {
        let parts = duration.components
        return parts.seconds * 1_000_000 + parts.attoseconds / 1_000_000_000_000
    }
}
