import RoostFailover
import RoostLinux
import RoostModel
import RoostRecords
import Synchronization

/// What a member may put into the store. Its programs are anybody's, and what it writes comes to every host.
enum MemberBounds {
    /// A sentence or two, and the end of what a program said.
    static let detailBytesMax = 1024
    static let idBytesMax = 64
    /// A record of a cluster with the most members and reigns has some 9 kB; fields that this version does not know, and
    /// lists that nobody counts, are in it too.
    static let recordBytesMax = 16 << 10
    /// A busy leader writes some 2 kB a second. The store keeps half an hour of history: with this, 60 MB of a member.
    static let bytesPerSecondMax = 32 << 10
    static let burstBytesMax = 256 << 10

    /// What a member wants to write, as the store would keep it.
    static func check(bytes: Int, _ allowance: ByteAllowance) throws(Refusal) {
        guard bytes <= recordBytesMax else {
            throw Refusal(.invalid, "a member's record has at most \(recordBytesMax) bytes, this one has \(bytes)")
        }
        guard allowance.take(bytes, at: BootClock.now()) else {
            throw Refusal(
                .tooMany, "a member writes at most \(bytesPerSecondMax) bytes a second; try again in a moment")
        }
    }

    static func check(_ rule: ClusterRule, of cluster: AppName) throws(Refusal) {
        try check("rule") { () throws(RecordBounds.Violation) in try RecordBounds.check(rule) }
        try check(rule.history, of: cluster)
        guard rule.members.count <= ClusterDirectory.membersMax else {
            throw Refusal(.invalid, "a cluster has at most \(ClusterDirectory.membersMax) members")
        }
        guard rule.history.count <= ClusterRule.historyMax else {
            throw Refusal(.invalid, "a rule has at most \(ClusterRule.historyMax) reigns")
        }
        guard (rule.switchover?.id.utf8.count ?? 0) <= idBytesMax else {
            throw Refusal(.invalid, "the id of a switchover has at most \(idBytesMax) bytes")
        }
        if let change = rule.change {
            guard change.id.utf8.count <= idBytesMax else {
                throw Refusal(.invalid, "the id of a change of members has at most \(idBytesMax) bytes")
            }
            guard change.left.count + change.done.count <= MemberChange.stepsMax else {
                throw Refusal(.invalid, "a change of members has at most \(MemberChange.stepsMax) steps")
            }
        }
        guard (rule.forced?.id.utf8.count ?? 0) <= idBytesMax else {
            throw Refusal(.invalid, "the id of a failover has at most \(idBytesMax) bytes")
        }
        guard let restart = rule.restart else { return }
        guard restart.id.utf8.count <= idBytesMax else {
            throw Refusal(.invalid, "the id of a restart has at most \(idBytesMax) bytes")
        }
        guard restart.left.count + restart.done.count <= ClusterDirectory.membersMax else {
            throw Refusal(.invalid, "a restart has at most \(ClusterDirectory.membersMax) members")
        }
    }

    /// Numbers of members are counted on from those that led; and who is none of the cluster's led nothing.
    private static func check(_ reigns: [Reign], of cluster: AppName) throws(Refusal) {
        if let stranger = reigns.first(where: { PostgresNames.number(of: $0.leader, in: cluster) == nil }) {
            throw Refusal(
                .invalid, "\(stranger.leader) is not the name of a member of \(cluster), and cannot have led it")
        }
        guard reigns.isInOrder else {
            throw Refusal(.invalid, "reigns have epochs that grow, and each begins where the one before has got to")
        }
    }

    /// Words are cut, not refused: a member that has much to say is one whose report is needed.
    static func cut(_ rule: ClusterRule) -> ClusterRule {
        var rule = rule
        let refusal = rule.switchover?.refusal.map(cut)
        rule.switchover?.refusal = refusal
        let reason = rule.restart?.refusal.map(cut)
        rule.restart?.refusal = reason
        let why = rule.change?.refusal.map(cut)
        rule.change?.refusal = why
        return rule
    }

    /// What no host would believe is not written: it would stand in the way of what was there.
    private static func check(_ what: String, _ check: () throws(RecordBounds.Violation) -> Void) throws(Refusal) {
        do throws(RecordBounds.Violation) { try check() } catch {
            throw Refusal(.invalid, "the \(what) cannot be as it is: \(error)")
        }
    }

    static func check(_ heartbeat: Heartbeat) throws(Refusal) {
        try check("heartbeat") { () throws(RecordBounds.Violation) in try RecordBounds.check(heartbeat) }
    }

    static func check(_ report: MemberReport, of cluster: AppName) throws(Refusal) {
        try check("report") { () throws(RecordBounds.Violation) in
            try RecordBounds.check(report, of: report.member)
        }
        guard max(report.chain?.count ?? 0, report.knowledge?.history.count ?? 0) <= ClusterRule.historyMax else {
            throw Refusal(.invalid, "a report has at most \(ClusterRule.historyMax) reigns")
        }
        try check(report.chain ?? [], of: cluster)
        guard let knowledge = report.knowledge else { return }
        try check(knowledge.history, of: cluster)
        try check([knowledge.opened].compactMap(\.self), of: cluster)
        let members = knowledge.membership?.members ?? []
        if let stranger = members.first(where: { PostgresNames.number(of: $0, in: cluster) == nil }) {
            throw Refusal(.invalid, "\(stranger) is not the name of a member of \(cluster)")
        }
    }

    static func cut(_ report: MemberReport) -> MemberReport {
        var report = report
        report.detail = report.detail.map(cut)
        return report
    }

    /// As long as it is in a record: what words make of it there would leave no room for the rest of it, for which nobody
    /// waits in vain. Cutting again what was cut changes nothing.
    static func cut(_ text: String) -> String {
        var kept = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            let isKept = scalar == "\n" || scalar.properties.generalCategory != .control
            let plain = isKept ? scalar : " "
            bytes += "\n\"\\/".unicodeScalars.contains(plain) ? 2 : UTF8.width(plain)
            guard bytes <= detailBytesMax else { return String(kept) + end }
            kept.append(plain)
        }
        return String(kept)
    }

    /// Of what was cut.
    private static let end = "…"
}

/// So many bytes a second, and a burst after a pause.
final class ByteAllowance: Sendable {
    private let perSecond: Int
    private let burst: Int
    private let state: Mutex<(bytes: Int, at: Moment)?> = Mutex(nil)

    init(_ perSecond: Int, burst: Int) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// False: too many; nothing was taken.
    func take(_ bytes: Int, at now: Moment) -> Bool {
        state.withLock { state in
            var left = burst
            var at = now
            if let former = state {
                let passed = max((now - former.at).milliseconds, 0)
                let gained = passed >= 60_000 ? burst : Int(passed) * perSecond / 1000
                left = min(burst, former.bytes + gained)
                // What is less than a byte is not lost: the time counts from where it was.
                at = gained > 0 ? now : former.at
            }
            let isTaken = bytes <= left
            state = (isTaken ? left - bytes : left, at)
            return isTaken
        }
    }
}
