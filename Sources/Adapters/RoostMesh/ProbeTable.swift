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
        /// Of the probes as large as the mesh's largest packet: a path may carry small packets only, and no word of it
        /// come back.
        var fullSize = PathStatistics(limits: ProbeTable.fullSizeLimits)
        var due: Moment
        /// Not before; with the next small one.
        var fullSizeDue: Moment
        var carriesSmallPacketsOnly = false
        /// Since when small ones arrive. What was lost while they did not says nothing of size.
        var carriesSince: Moment?
    }

    /// Every peer gets so few of them that a host with fifty peers sends 8 kB a second: one to ten small ones at most.
    static func fullSizeInterval(peers: Int) -> Duration {
        max(.seconds(5), ProbeSchedule.interval(peers: peers) * 10)
    }

    private static let fullSizeLimits = PathStatistics.Limits(window: .seconds(30), windowProbesMin: 6)
    /// Lost one after the other, while small ones arrive, before it is said of the path.
    static let fullSizeLostMin = 3
    private static let smallLossMax = 0.5

    private let padding: UInt16

    /// - Parameter datagramBytes: of the largest packet that the mesh sends, without its IP and UDP headers.
    init(datagramBytes: Int) {
        let size = ProbePacket.size + ProbeSeal.size
        padding = UInt16(min(max(datagramBytes, size), ProbeSeal.datagramBytesMax) - size)
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
                var target = known
                target.peer = peer
                if old.count != sorted.count { target.due = due }
                return target
            }
            return Target(peer: peer, statistics: PathStatistics(), due: due, fullSizeDue: due)
        }
        indexByEndpoint = [:]
        for (index, target) in targets.enumerated() { indexByEndpoint[target.peer.endpoint] = index }
    }

    var isEmpty: Bool { targets.isEmpty }

    mutating func takeDue(now: Moment) -> [Outgoing] {
        var outgoing: [Outgoing] = []
        for index in targets.indices where targets[index].due <= now {
            let number = targets[index].statistics.send(at: now)
            outgoing.append(
                targets[index].peer.sealed(
                    ProbePacket(kind: .probe, number: number, sentNanoseconds: Self.nanoseconds(now))))
            if targets[index].fullSizeDue <= now {
                let number = targets[index].fullSize.send(at: now)
                outgoing.append(
                    targets[index].peer.sealed(
                        ProbePacket(
                            kind: .probe, number: number, sentNanoseconds: Self.nanoseconds(now), padding: padding)))
                targets[index].fullSizeDue = now + Self.fullSizeInterval(peers: targets.count)
            }
            targets[index].due = ProbeSchedule.next(after: targets[index].due, peers: targets.count, now: now)
        }
        return outgoing
    }

    /// What is to be sent back, if anything. Only peers are answered and believed.
    ///
    /// - Parameters:
    ///   - arrival: when the kernel had it.
    ///   - now: when the answer leaves; what is between is said in it.
    mutating func receive(
        _ bytes: [UInt8], from source: UnderlayEndpoint, arrival: Moment, now: Moment
    ) -> Outgoing? {
        guard let index = indexByEndpoint[source], let packet = targets[index].peer.seal.opened(bytes) else {
            return nil
        }
        switch packet.kind {
        case .probe:
            var answer = packet
            answer.kind = .answer
            answer.heldMicroseconds = UInt32(clamping: Self.microseconds(max(now - arrival, .zero)))
            return targets[index].peer.sealed(answer)
        case .answer:
            let statistics: WritableKeyPath<Target, PathStatistics>
            switch packet.padding {
            case 0: statistics = \.statistics
            case padding: statistics = \.fullSize
            default: return nil
            }
            guard let sentAt = targets[index][keyPath: statistics].sentAt(packet.number),
                Self.nanoseconds(sentAt) == packet.sentNanoseconds
            else { return nil }
            _ = targets[index][keyPath: statistics].answer(
                packet.number, at: max(arrival, sentAt), held: .microseconds(Int64(packet.heldMicroseconds)))
            return nil
        }
    }

    mutating func measurements(now: Moment) -> [PathMeasurement] {
        targets.indices.map { index in
            targets[index].statistics.expire(at: now)
            targets[index].fullSize.expire(at: now)
            let statistics = targets[index].statistics
            let fullSize = targets[index].fullSize
            return PathMeasurement(
                peer: targets[index].peer.host, roundTripMicroseconds: statistics.roundTrip.map(Self.microseconds),
                jitterMicroseconds: statistics.jitter.map(Self.microseconds),
                isAnswering: statistics.isAnswering(at: now), lossPercent: statistics.loss * 100,
                fullSizeLossPercent: fullSize.probesSettled == 0 ? nil : fullSize.loss * 100,
                probesSent: statistics.probesSent, probesAnswered: statistics.probesAnswered)
        }
    }

    /// Peers whose path has begun, or ceased, to carry small packets only.
    mutating func takeTurns(now: Moment) -> [(host: HostName, carriesSmallPacketsOnly: Bool)] {
        targets.indices.compactMap { index in
            targets[index].fullSize.expire(at: now)
            let small = targets[index].statistics
            guard small.probesSettled > 0, small.loss < Self.smallLossMax else {
                targets[index].carriesSince = nil
                return nil
            }
            let since = targets[index].carriesSince ?? now
            targets[index].carriesSince = since
            let isSo = targets[index].fullSize.lostInARow(since: since) >= Self.fullSizeLostMin
            guard isSo != targets[index].carriesSmallPacketsOnly else { return nil }
            targets[index].carriesSmallPacketsOnly = isSo
            return (targets[index].peer.host, isSo)
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
