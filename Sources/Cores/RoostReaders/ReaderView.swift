import RoostFailover
import RoostModel

/// What a reader knows of its cluster by the store.
struct ReaderView: Sendable {
    private var view: StoreView?
    private var beat: (epoch: Epoch, sequence: UInt64)?
    private var beatAt: Moment?

    /// A leader's heartbeat that is older than this is of the past.
    private static let beatAgeMax = Duration.seconds(2)

    var leader: MemberName? { view?.rule?.leader }

    /// - Parameter source: an older one than was seen comes late, if it was not asked for.
    mutating func see(_ seen: StoreView, _ source: ViewSource, _ now: Moment) {
        switch source {
        case .read: break
        case .watch, .kept: guard view.map({ seen.revision >= $0.revision }) ?? true else { return }
        }
        view = seen
        guard let heartbeat = seen.heartbeat, heartbeat.epoch == seen.rule?.epoch else { return }
        if let beat, beat == (heartbeat.epoch, heartbeat.sequence) { return }
        // The first one may be old.
        if beat != nil { beatAt = now }
        beat = (heartbeat.epoch, heartbeat.sequence)
    }

    /// Whom it may follow at all; nil while nobody knows: before there is a rule, and while members are called to another leader.
    func standbys(of breakage: ReaderBreakage?) -> [MemberName]? {
        guard let rule = view?.rule, rule.recruitment == nil else { return nil }
        return rule.members.filter { $0 != rule.leader || breakage == .followsLeader }
    }

    /// It streams in the present epoch, and its leader sees it confirm: what it has is the cluster's.
    func feeds(_ member: MemberName) -> Bool {
        guard let rule = view?.rule, let report = view?.reports.first(where: { $0.member == member }) else {
            return false
        }
        // Only a reader that is made wrong asks.
        if member == rule.leader { return true }
        guard report.isStreaming, report.promised == rule.epoch else { return false }
        guard let heartbeat = view?.heartbeat, heartbeat.epoch == rule.epoch, let standbys = heartbeat.standbys else {
            return true
        }
        return standbys.contains { $0.member == member && $0.isConfirming }
    }

    /// Whether the store says now that this standby is fed itself; nil where there is nobody to ask for.
    func isFed(_ member: MemberName?, _ now: Moment) -> Bool? {
        guard let member else { return nil }
        return feeds(member) && beatAt.map { now - $0 <= Self.beatAgeMax } ?? false
    }
}
