import RoostModel
import RoostPaths

/// Whom to probe, where, and how each knows the other.
struct ProbeTarget: Sendable {
    var host: HostName
    var endpoint: UnderlayEndpoint
    /// Its WireGuard key: a peer with a new one is another peer.
    var publicKey: String
    var seal: ProbeSeal
}

/// The peers that are probed and what was measured. A pure value; the thread that owns the socket carries it out.
struct ProbeTable: Sendable {
    struct Outgoing: Sendable {
        var destination: UnderlayEndpoint
        var bytes: [UInt8]
    }

    private struct Target: Sendable {
        var peer: ProbeTarget
        var statistics: PathStatistics
        var due: Moment
    }

    /// Sorted by host, so that the probes of a round always leave in the same order.
    private var targets: [Target] = []
    private var indexByEndpoint: [UnderlayEndpoint: Int] = [:]

    /// Replaces the peers. One that stays at its address keeps what was measured.
    mutating func setTargets(_ peers: [ProbeTarget], now: Moment) {
        let sorted = peers.sorted { $0.host < $1.host }
        let old = Dictionary(targets.map { ($0.peer.host, $0) }, uniquingKeysWith: { first, _ in first })
        targets = sorted.enumerated().map { index, peer in
            let due = ProbeSchedule.firstProbe(of: index, peers: sorted.count, from: now)
            if let known = old[peer.host], known.peer.endpoint == peer.endpoint, known.peer.publicKey == peer.publicKey
            {
                return Target(
                    peer: peer, statistics: known.statistics, due: old.count == sorted.count ? known.due : due)
            }
            return Target(peer: peer, statistics: PathStatistics(), due: due)
        }
        indexByEndpoint = [:]
        for (index, target) in targets.enumerated() { indexByEndpoint[target.peer.endpoint] = index }
    }

    /// When ``takeDue(now:)`` has something next; nil without peers.
    var nextDue: Moment? { targets.map(\.due).min() }

    mutating func takeDue(now: Moment) -> [Outgoing] {
        var outgoing: [Outgoing] = []
        for index in targets.indices where targets[index].due <= now {
            let number = targets[index].statistics.send(at: now)
            outgoing.append(
                targets[index].peer.sealed(
                    ProbePacket(kind: .probe, number: number, sentNanoseconds: Self.nanoseconds(now))))
            targets[index].due = ProbeSchedule.next(after: targets[index].due, peers: targets.count, now: now)
        }
        return outgoing
    }

    /// What is to be sent back, if anything. Only peers are answered and believed.
    mutating func receive(_ bytes: [UInt8], from source: UnderlayEndpoint, now: Moment) -> Outgoing? {
        guard let index = indexByEndpoint[source], let packet = targets[index].peer.seal.opened(bytes) else {
            return nil
        }
        switch packet.kind {
        case .probe:
            var answer = packet
            answer.kind = .answer
            return targets[index].peer.sealed(answer)
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
                peer: targets[index].peer.host, roundTripMicroseconds: statistics.roundTrip.map(Self.microseconds),
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

extension ProbeTarget {
    fileprivate func sealed(_ packet: ProbePacket) -> ProbeTable.Outgoing {
        ProbeTable.Outgoing(destination: endpoint, bytes: seal.sealed(packet))
    }
}
