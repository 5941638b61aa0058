public import RoostModel

/// Whose word counts of the members of a cluster whose store has gone back, and why that of the others does not.
///
/// A reign that was open has bytes on one more than confirm a commit, so one of any `members - confirmations` knows of it. Of
/// an even number half may know nothing: it confirms by half, and when one of them is removed, less than half confirm what is
/// written next (see ADR 0044). So it is more than half that must say what they know.
public struct Testimony: Hashable, Sendable {
    /// The last that are known of.
    public let members: [MemberName]
    /// So many of them must say what they know.
    public let needed: Int
    /// In the order of ``members``.
    public let mute: [Mute]

    /// A member whose word counts for nothing.
    public struct Mute: Hashable, Sendable, CustomStringConvertible {
        /// One of the last members.
        public let member: MemberName
        /// Why.
        public let reason: Reason

        /// As ``Testimony`` finds it.
        public init(_ member: MemberName, _ reason: Reason) { (self.member, self.reason) = (member, reason) }

        public var description: String { "\(member) (\(reason))" }
    }

    /// Why nothing is made of what a member says, or of its silence.
    public enum Reason: Hashable, Sendable, CustomStringConvertible {
        /// No report of it comes.
        case unheard
        /// Its program tells nothing of what it knows.
        case program
        /// It says what cannot be.
        case incredible
        /// It has proof, and no history: it had no data when it promised.
        case noHistory
        /// A leader may have let clients in since it said how far it is.
        case unsettled
        /// It has failed, and may know more than it says.
        case failed
        /// It has said that it has none.
        case noData
        /// It has said that what it has is no database any more.
        case spoiledData
        /// It has said that its data is between what it was and what it is to become.
        case unfinishedData
        /// It has data, and has not said how far that goes: its Postgres may be starting.
        case endUnread
        /// It has not said how far its data goes, nor whether it has any: its program does not tell the two apart.
        case dataUnknown
        /// It has promised more than the store's rule calls for, and has not said what that means.
        case hasNotLooked
        /// Its program has not written down since when it has its volume.
        case volumeOfUnknownAge
        /// It has its volume since this epoch, which may have been after what the store has lost.
        case newVolume(Epoch)

        public var description: String {
            switch self {
            case .unheard: "not heard"
            case .program: "its program does not say what it knows; give it a newer image"
            case .incredible: "what it says cannot be"
            case .noHistory: "it had no data when the store was right"
            case .unsettled: "it has to say once more how far it is; look again in some seconds"
            case .failed: "it has failed, and does not say what it knows"
            case .noData: "it has no data"
            case .spoiledData: "its data is proven to be no database any more, and is kept until it has a copy"
            case .unfinishedData:
                "its data counts for nothing: it is being taken back to another member's, or needs a copy"
            case .endUnread: "it has data, and has not said yet how far that goes; look again"
            case .dataUnknown: "it has not said yet how far its data goes, if it has any; look again"
            case .hasNotLooked: "it has not said yet what it makes of the store's rule; look again"
            case .volumeOfUnknownAge: "nobody has written down since when it has its volume"
            case .newVolume(let epoch):
                "it has its volume since epoch \(epoch), which may be after what the store has lost"
            }
        }
    }

    /// By the rule that the store has, and reports of members that are heard now.
    ///
    /// - Parameter unsettled: what these have may be more than they have said. Who has proof has taken nothing since.
    public init(of stored: ClusterRule, _ reports: [MemberReport], unsettled: Set<MemberName> = []) {
        self.init(under: stored.withLastMembers(of: reports), beside: stored, reports, unsettled)
    }

    /// - Parameter present: with the last members.
    init(
        under present: ClusterRule, beside stored: ClusterRule, _ reports: [MemberReport],
        _ unsettled: Set<MemberName>
    ) {
        members = present.members
        needed = max(present.members.count - present.confirmations, present.members.count / 2 + 1)
        let chains = reports.filter { $0.counts(beside: stored) }.compactMap { $0.knowledge?.history }
        // Who has lost its disk has lost what it knew, also when it has been given a copy since.
        let wentBackTo = present.lastCommon(with: chains.filter { !$0.isEmpty })
        mute = present.members.compactMap { member in
            guard let report = reports.first(where: { $0.member == member }) else { return Mute(member, .unheard) }
            if let reason = report.muteness(beside: stored, wentBackTo: wentBackTo) { return Mute(member, reason) }
            return report.knowledge == nil && unsettled.contains(member) ? Mute(member, .unsettled) : nil
        }
    }

    /// Those whose word counts.
    public var telling: [MemberName] {
        members.filter { member in !mute.contains { $0.member == member } }
    }
}

extension MemberReport {
    /// It says what it knows, and that can be.
    func counts(beside rule: ClusterRule) -> Bool {
        skills?.contains(.recovery) == true && isCredible(beside: rule)
    }

    /// Its position is where its log ends, or ended a moment ago. Without its chain it is no answer, and who cannot lead then
    /// has only said how far it was seen to go: its log may go on.
    var hasSaidItsEnd: Bool { position != nil && (chain != nil || cannotLead != true) }

    /// Nil: it has all that it ever had, and its word is about this rule: what it has promised beyond shows that it has not
    /// looked yet. One that has failed and does not say what it knows may know more.
    ///
    /// - Parameter wentBackTo: a volume that was first used then, or later, may have been made after all that the store lost.
    fileprivate func muteness(beside rule: ClusterRule, wentBackTo epoch: Epoch) -> Testimony.Reason? {
        guard skills?.contains(.recovery) == true else { return .program }
        guard isCredible(beside: rule) else { return .incredible }
        if let knowledge { return knowledge.history.isEmpty ? .noHistory : nil }
        guard position != nil else { return dataReason }
        guard state != .failed else { return .failed }
        guard promised <= rule.called else { return .hasNotLooked }
        guard hasSaidItsEnd else { return .endUnread }
        guard let keptSince else { return .volumeOfUnknownAge }
        return keptSince == .none || keptSince < epoch ? nil : .newVolume(keptSince)
    }

    /// Why it says nothing of an end. That it has no data is its word alone: without one it may be starting, whatever phase it
    /// shows, and have all that there is.
    private var dataReason: Testimony.Reason {
        switch data {
        case .absent: .noData
        case .unfinished: .unfinishedData
        case .spoiled: .spoiledData
        case .whole, .replaced: .endUnread
        case .unknown, nil: .dataUnknown
        }
    }
}

extension ClusterRule {
    /// With the members that came last of all that is known.
    func withLastMembers(of reports: [MemberReport]) -> ClusterRule {
        var rule = self
        let known = reports.filter { $0.counts(beside: self) }.compactMap { $0.knowledge?.membership }
        guard let last = known.max(by: { $0.changes < $1.changes }), last.changes > changes ?? 0 else { return rule }
        rule.members = last.members
        rule.confirmations = last.confirmations
        rule.changes = last.changes
        return rule
    }

    /// The store went back to this epoch or a later one: up to there its history is that of each who has proof.
    fileprivate func lastCommon(with chains: [[Reign]]) -> Epoch {
        let common = chains.map { chain in
            history.last { own in chain.contains { $0.isSame(as: own) } }?.epoch ?? .none
        }
        return common.min() ?? history.first?.epoch ?? .none
    }
}
