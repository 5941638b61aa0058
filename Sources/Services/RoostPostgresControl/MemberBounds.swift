import RoostModel

/// What a member may put into the store. Its programs are anybody's, and what it writes comes to every host.
enum MemberBounds {
    /// A sentence or two, and the end of what a program said.
    static let detailBytesMax = 1024
    static let idBytesMax = 64

    static func check(_ rule: ClusterRule) throws(Refusal) {
        guard rule.members.count <= ClusterDirectory.membersMax else {
            throw Refusal(.invalid, "a cluster has at most \(ClusterDirectory.membersMax) members")
        }
        guard rule.history.count <= ClusterRule.historyMax else {
            throw Refusal(.invalid, "a rule has at most \(ClusterRule.historyMax) reigns")
        }
        guard (rule.switchover?.id.utf8.count ?? 0) <= idBytesMax else {
            throw Refusal(.invalid, "the id of a switchover has at most \(idBytesMax) bytes")
        }
    }

    /// Words are cut, not refused: a member that has much to say is one whose report is needed.
    static func cut(_ rule: ClusterRule) -> ClusterRule {
        var rule = rule
        let refusal = rule.switchover?.refusal.map(cut)
        rule.switchover?.refusal = refusal
        return rule
    }

    static func check(_ report: MemberReport) throws(Refusal) {
        guard (report.chain?.count ?? 0) <= ClusterRule.historyMax else {
            throw Refusal(.invalid, "a report has at most \(ClusterRule.historyMax) reigns")
        }
    }

    static func cut(_ report: MemberReport) -> MemberReport {
        var report = report
        report.detail = report.detail.map(cut)
        return report
    }

    static func cut(_ text: String) -> String {
        guard text.utf8.count > detailBytesMax else { return text }
        return String(decoding: text.utf8.prefix(detailBytesMax), as: UTF8.self) + "…"
    }
}
