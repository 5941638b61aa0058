import RoostFailover
import RoostLinux
import RoostModel
import RoostRelayWire
import RoostWire

extension Operations {
    /// For the relay to have taken its orders: it takes a moment, and one that does not is gone round.
    private static let relayPatience = Duration.milliseconds(100)

    /// Tells the relay whom this member follows, as far as the rule says all that a receiver asks.
    func lead(to source: PostgresSettings.Upstream, _ fork: TimelineFork?, _ view: ClusterView) async {
        guard let relay else { return }
        let end = lastEnd
        let instance = instance
        await BlockingCall.run {
            let upstream = Self.upstream(source, fork, view, end: end, segmentBytes: instance.segmentBytes())
            if let upstream { relay.lead(to: upstream, within: Self.relayPatience) } else { relay.leadNowhere() }
        }
    }

    /// - Parameters:
    ///   - fork: where the leader's timeline begins, for a log that is a part of the leader's up to there.
    ///   - end: of this member's own log.
    static func upstream(
        _ source: PostgresSettings.Upstream, _ fork: TimelineFork?, _ view: ClusterView,
        end: (end: LSN, timeline: UInt32)?, segmentBytes: UInt64?
    ) -> RelayOrders.Upstream? {
        // Without one of these nobody but the leader can say what a receiver asks first.
        guard let rule = view.rule, rule.epoch == source.epoch, rule.leader == source.leader,
            let timeline = rule.timeline, let system = rule.system, fork.map({ $0.timeline == timeline }) ?? true
        else { return nil }
        var held = segmentBytes.map { HeldLog(end: .zero, timeline: timeline, segmentBytes: $0) }
        if let fork, let end, end.timeline &+ 1 == fork.timeline, end.end <= fork.begin {
            held?.end = end.end
            held?.timeline = end.timeline
        }
        let stream = StreamName(member: view.member, epoch: source.epoch)
        return RelayOrders.Upstream(
            leader: source.leader, stream: "\(stream)", system: system, timeline: timeline, held: held)
    }
}

extension PostgresOperation {
    /// Whom the member follows is the same after it, or it is a follow's own to say.
    var keepsFollowing: Bool {
        switch self {
        case .follow, .checkpoint, .confirmBy: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .promote, .startPrimary,
            .stop:
            false
        }
    }
}

extension PostgresInstance {
    /// Of a file of its log; nil when there is none.
    @available(*, noasync, message: "it waits for the disk; use a BlockingCall")
    func segmentBytes() -> UInt64? {
        let folder = layout.outside(layout.data + "/pg_wal")
        guard let name = (try? LogFiles(folder).names())?.first(where: { LogSegment(fileName: $0) != nil }) else {
            return nil
        }
        return LogFiles.bytes(of: "\(folder)/\(name)")
    }
}
