public import RoostModel

/// One that a person may name, and how far it is.
public struct ForcedCandidate: Hashable, Sendable {
    /// A member of the rule.
    public let member: MemberName
    /// Its log goes so far; of one that is not heard, it did when it last said so. Nil: it has not said.
    public let position: Position?
    /// As ``MemberReport/committedAt``.
    public let committedAt: Int64?
    /// Why it cannot be named; nil: it can.
    public let unfitness: Unfitness?

    /// Why nobody can name a member.
    public enum Unfitness: Hashable, Sendable, CustomStringConvertible {
        /// Nothing of it was seen to come for seconds.
        case unheard
        /// It says that it has none, or none that counts.
        case noData(MemberData)
        /// It has some, and has not said yet how far it goes.
        case endUnread
        /// It does nothing; in its words.
        case failed(String?)
        /// Its Postgres does not start, or is being stopped; in its words.
        case cannotLead(String?)
        /// It answers what cannot be.
        case unbelieved(String)
        /// This one renews its lease, and has all that was confirmed.
        case leaderHeard(MemberName)

        public var description: String {
            switch self {
            case .unheard: "it is not heard now"
            case .noData(let data): "it has no data that counts (\(data.rawValue))"
            case .endUnread: "it has not said yet how far its log goes; look again in some seconds"
            case .failed(let words): "it does nothing\(words.map { ": \($0)" } ?? "")"
            case .cannotLead(let words): "it cannot lead now\(words.map { ": \($0)" } ?? "")"
            case .unbelieved(let words): "it cannot be believed: it shows \(words)"
            case .leaderHeard(let leader):
                "\(leader) is heard, leads, and has all that was confirmed: name that, or stop its machine first if it is "
                    + "not to lead"
            }
        }
    }

    /// From the best to the worst: those that can be named by how far they are, then the others.
    public static func all(of rule: ClusterRule, _ sight: ForcedElection.Sight) -> [ForcedCandidate] {
        let heard = rule.members.compactMap(sight.report)
        let tally = RecruitmentTally(rule: rule, reports: heard)
        let leads = sight.isLed(under: rule)
        let all = rule.members.map { member in
            let report = sight.reports.first { $0.member == member }
            let unbelieved = tally?.unbelieved.first { $0.member == member }?.why
            var why = unbelieved.map { Unfitness.unbelieved($0) } ?? sight.report(of: member).unfitness
            if leads, member != rule.leader, why == nil { why = .leaderHeard(rule.leader) }
            return ForcedCandidate(
                member: member, position: report?.position, committedAt: report?.committedAt, unfitness: why)
        }
        func rank(_ candidate: ForcedCandidate) -> (Int, Position) {
            (candidate.unfitness == nil ? 1 : 0, candidate.position ?? Position(epoch: .none, end: .zero))
        }
        return all.enumerated().sorted { one, other in
            let (left, right) = (rank(one.element), rank(other.element))
            return left == right ? one.offset < other.offset : left > right
        }.map(\.element)
    }
}

extension MemberReport? {
    /// Nil: of one that is not heard.
    fileprivate var unfitness: ForcedCandidate.Unfitness? {
        guard let report = self else { return .unheard }
        switch report.data {
        case .absent: return .noData(.absent)
        case .unfinished: return .noData(.unfinished)
        case .spoiled: return .noData(.spoiled)
        case .whole, .replaced, .unknown, nil: break
        }
        if report.state == .failed { return .failed(report.detail) }
        guard report.hasSaidItsEnd else { return .endUnread }
        return report.cannotLead == true ? .cannotLead(report.detail) : nil
    }
}

extension ForcedElection {
    /// Why a person cannot decide it, or need not.
    public enum Obstacle: Error, Hashable, Sendable, CustomStringConvertible {
        /// Nothing is wrong that this would mend.
        case leaderServes(MemberName)
        /// It renews its lease and lets nobody in, and enough are there for it.
        case leaderHeard(MemberName)
        /// These can decide by themselves, or are about to.
        case electionIsSafe([MemberName], epoch: Epoch?, isPaused: Bool)
        /// These know that the store has gone back: its rule is none to decide by.
        case storeWentBack([MemberName])
        /// It is none; there are these.
        case stranger(MemberName, [MemberName])
        /// This one cannot be named.
        case unfit(MemberName, ForcedCandidate.Unfitness)
        /// Nobody can; in words for each.
        case nobody([String])
        /// The programs of these do not know what this is.
        case program([MemberName])

        public var description: String {
            switch self {
            case .leaderServes(let leader):
                return
                    "\(leader) is heard, lets clients in, and enough standbys confirm: to have another lead, roost pg switchover"
            case .leaderHeard(let leader):
                return
                    "\(leader) is heard, and renews its lease, and enough members are there for it to let clients in: wait "
                    + "for it, or stop its machine if it never comes to it"
            case .electionIsSafe(let members, let epoch, let isPaused):
                let names = members.map(\.text).joined(separator: ", ")
                let what =
                    epoch.map { "decide who leads epoch \($0)" }
                    ?? "decide who leads, and are called to it in some seconds"
                return "\(names) \(members.count == 1 ? "is" : "are") heard, can \(what), and lose nothing by it: "
                    + (isPaused
                        ? "end the pause: roost pg resume"
                        : "wait for that; stop the machine of one that never answers")
            case .storeWentBack(let members):
                let names = members.map(\.text).joined(separator: ", ")
                return
                    "the store has gone back to an older copy, says \(names): roost pg recover is the way. Who is not to be "
                    + "believed can be stopped first"
            case .stranger(let member, let members):
                return "\(member) is no member; there are: \(members.map(\.text).joined(separator: ", "))"
            case .unfit(let member, let why): return "\(member) cannot be made the leader: \(why)"
            case .nobody(let words): return "no member can be made the leader: \(words.joined(separator: "; "))"
            case .program(let members):
                return
                    "the program of \(members.map(\.text).joined(separator: ", ")) does not know what a failover is that a "
                    + "person decides, or has not said so; give each a newer image and restart its machine"
            }
        }
    }
}
