import RoostModel
import RoostWire

extension ClusterBody.Status {
    var style: Terminal.Style {
        switch self {
        case .ready: .good
        case .creating, .degraded, .destroying, .unknown: .warning
        case .unavailable: .bad
        }
    }
}

extension ClusterBody {
    /// `m1@ams1 m2@iad1`, the leader first.
    var places: String {
        let ordered = members.filter { $0.name == leader } + members.filter { $0.name != leader }
        return ordered.map { "\($0.name)@\($0.host?.text ?? $0.region.text)" }.joined(separator: " ")
    }

    /// The URL as it may stand on a screen: libpq takes the password from PGPASSWORD or a password file then.
    static func withoutPassword(_ url: String) -> String {
        guard let scheme = url.firstRange(of: "://"), let at = url[scheme.upperBound...].firstIndex(of: "@"),
            let colon = url[scheme.upperBound..<at].firstIndex(of: ":")
        else { return url }
        return String(url[..<colon]) + String(url[at...])
    }

    /// How far it is, in a few words.
    var summary: String {
        let running = members.filter { $0.state == MemberReport.State.running.rawValue }.count
        // Who was given up is none of them, and is shown until it is removed.
        let kept = forced?.kept ?? []
        let lack = missingWords.map { ", but \($0)" } ?? ""
        return "\(status.rawValue), \(running) of \(members.count { !kept.contains($0.name) }) members up" + lack
    }

    /// What the asked host could not say; nil: nothing.
    var missingWords: String? {
        guard let missing else { return nil }
        let names = missing.map { credential in
            switch credential {
            case .password: "password"
            case .authorityCertificate: "certificate authority"
            case .unknown(let word): word
            }
        }
        return "the host that was asked cannot read its \(names.joined(separator: " and ")) in the store now"
    }

    /// How many networks of the list are shown; there may be 64.
    private static let networksShownMax = 8

    /// From where they may log in.
    var clients: String {
        guard let allow else { return "from everywhere" }
        let shown = allow.prefix(Self.networksShownMax).joined(separator: ", ")
        let more = allow.count - Self.networksShownMax
        return "from \(shown)" + (more > 0 ? " and \(more) more: roost pg allow \(name)" : "")
    }

    private func words(for term: ReplacementTerm) -> String {
        let all = readers == nil ? "members" : "members and readers"
        return switch term {
        case .after: "\(all) that are lost for \(term)"
        case .never: "nobody, unless somebody asks for it"
        case .unknown(let text): "\(all) that are lost, by a rule that this program does not know: \(text)"
        }
    }

    /// When it goes back is decided by whoever has the duty, which the asked host does not know: what has to be for it is said.
    private func words(forHome home: RegionCode, _ leading: MemberBody?) -> String {
        guard let leading, leading.region != home else { return home.text }
        let away = "\(home); " + Terminal.paint("led from \(leading.region)", .warning)
        if survival?.isLedByHand == true { return away + ", where somebody has switched it over to" }
        guard members.contains(where: { $0.region == home && $0.isToStay }) else {
            return away + "; no member is there, so that it is led from there again only after one has come: "
                + "roost pg member add \(name) --region \(home), or member move"
        }
        return away
            + ", and goes back when for 10 minutes all members have confirmed and nobody has worked on it"
    }

    /// What a person has decided, and what is left of it: as long as somebody's log is on a volume that counts for nothing.
    private func words(for forced: ForcedState) -> String {
        let asker = forced.by.map { " by \(Terminal.harmless($0))" } ?? ""
        var words =
            "decided\(asker) on \(forced.at): \(forced.member) was named for epoch \(forced.epoch), at \(forced.logEnd)"
        if let furthest = forced.furthest {
            words += "; another had got to \(furthest), and what lies between may be lost"
        }
        guard !forced.kept.isEmpty else { return words }
        let names = forced.kept.map(\.text).joined(separator: ", ")
        words += "; given up, and kept with what only \(forced.kept.count == 1 ? "it" : "they") may have: \(names)"
        return words + " (roost pg member remove \(name) \(forced.kept[0]), when nothing of it is needed)"
    }

    /// What `status` shows to a person.
    var report: String { report(showsPassword: false) }

    func report(showsPassword: Bool) -> String {
        let leading = members.first { $0.name == leader }
        var facts = Facts([
            ("Cluster", Terminal.paint(name.text, .strong)),
            (
                "Status",
                Terminal.paint(status.rawValue, status.style) + (detail.map { ": \($0)" } ?? "")
            ),
            ("Epoch", "\(epoch)"),
            ("Leader", (leader?.text ?? "none") + (leading?.host.map { " on \($0)" } ?? "")),
            ("Rule", rule), ("Clients", clients),
        ])
        if let survival, let now = survival.now {
            let words = survival.words(for: now)
            facts.facts.append(("Survives", survival.isAsWanted(now) ? words : Terminal.paint(words, .warning)))
        }
        if let home = survival?.home { facts.facts.append(("Home", words(forHome: home, leading))) }
        for shared in sharedHosts ?? [] {
            let members = shared.members.map(\.text).joined(separator: ", ")
            facts.facts.append(
                ("One host", "\(Terminal.paint("\(members) are on \(shared.host)", .warning)): \(shared.loss)"))
        }
        for leftover in leftovers ?? [] {
            facts.facts.append(
                ("Left over", Terminal.paint(leftover.words, .warning) + ": " + leftover.advice(in: name)))
        }
        if let replaceAfter { facts.facts.append(("Replaced", words(for: replaceAfter))) }
        if let pause { facts.facts.append(("Paused", "until \(pause.endsAt)")) }
        if let change, !change.left.isEmpty, change.refusal == nil {
            let left = change.left.map { "\($0.kind.rawValue) \($0.member)" }.joined(separator: ", ")
            let reason = change.isAutomatic == true ? "a lost member is replaced: " : ""
            facts.facts.append(("Change", "\(reason)\(counted(change.done.count, "step")) done, left: \(left)"))
        }
        if let restart, !restart.left.isEmpty {
            let left = restart.left.map(\.text).joined(separator: ", ")
            let words = "\(counted(restart.done.count, "member")) done, left: \(left)"
            facts.facts.append(("Restart", restart.refusal.map { "\(words); ended: \($0)" } ?? words))
        }
        if let forced { facts.facts.append(("Failover", Terminal.paint(words(for: forced), .warning))) }
        for (label, url) in [("Write", writeURL), ("Read", readURL)] where !url.isEmpty {
            facts.facts.append((label, showsPassword ? url : Self.withoutPassword(url)))
        }
        if let missingWords { facts.facts.append(("Missing", Terminal.paint(missingWords, .warning))) }
        var table = Table("MEMBER", "MACHINE", "HOST", "REGION", "ROLE", "STATE", "TIMELINE", "LAG", "", "DETAIL")
        for member in members { table.add(cells: member.cells(isLeader: member.name == leader)) }
        return facts.text + "\n\n" + table.text() + (readers.map { "\n\n" + Self.table(of: $0).text() } ?? "")
    }

    private static func table(of readers: [ReaderBody]) -> Table {
        var table = Table("READER", "MACHINE", "HOST", "REGION", "FED BY", "STATE", "SERVES", "LAG", "", "DETAIL")
        for reader in readers {
            table.add(
                Cell(reader.name.text), Cell(reader.machine?.text ?? "-"), Cell(reader.host?.text ?? "-"),
                Cell(reader.region.text), Cell(reader.upstream?.text ?? "-"), Cell(reader.state),
                Cell(reader.isServing ? "yes" : "no", reader.isServing ? .plain : .warning),
                .number(reader.lagBytes.map { "\(ByteCount(bytes: Int64(clamping: $0)))" } ?? "-"),
                .number(reader.lagSeconds.map { Figure.decimal($0) + " s" } ?? ""), Cell(reader.detail ?? ""))
        }
        return table
    }
}

extension SurvivalBody {
    /// Whoever asked for regions has got them.
    fileprivate func isAsWanted(_ now: [SurvivalGoal]) -> Bool { wanted.map(now.contains) ?? true }

    /// `the loss of any one host, and not of region ams; it was made for: region`
    fileprivate func words(for now: [SurvivalGoal]) -> String {
        let what = now.map { "any one \($0.rawValue)" }.joined(separator: ", and of ")
        var words = now.isEmpty ? "the loss of no more hosts than it has lost" : "the loss of \(what)"
        if now.isEmpty, let hosts {
            words = "not the loss of \(hosts.map(\.text).joined(separator: ", or of "))"
        } else if let regions {
            words += "; not of region \(regions.map(\.text).joined(separator: ", or of "))"
        }
        if let store { words += "; \(store)" }
        guard let wanted, !now.contains(wanted) else { return words }
        return words + "; it is to survive that of any one \(wanted.rawValue)"
    }
}

extension MemberBody {
    /// The rule names it, or will.
    fileprivate var isToStay: Bool { state != "leaving" && state != "no member" }

    fileprivate func cells(isLeader: Bool) -> [Cell] {
        let isStandby = role == .standby
        return [
            Cell(name.text, isLeader ? .strong : .plain), Cell(machine?.text ?? "-"), Cell(host?.text ?? "-"),
            Cell(region.text), Cell(role.rawValue), Cell(state), .number(timeline == 0 ? "-" : "\(timeline)"),
            .number(isStandby ? lagBytes.map { "\(ByteCount(bytes: Int64(clamping: $0)))" } ?? "-" : ""),
            .number(isStandby ? lagSeconds.map { Figure.decimal($0) + " s" } ?? "" : ""), Cell(detail ?? ""),
        ]
    }
}

extension LeftoverBody {
    fileprivate var words: String {
        let what = [
            machine.map { "machine \($0)" + (name.map { " (\($0))" } ?? "") }, volume.map { "volume \($0)" },
        ]
        return what.compactMap(\.self).joined(separator: " with ") + (host.map { " on \($0)" } ?? "")
    }

    fileprivate func advice(in cluster: AppName) -> String {
        let (ofMachine, ofVolume) = lastCopy == nil ? ("", "") : (" --last-copy", " --force")
        let commands = [
            machine.map { "roost machines destroy \(cluster) \($0) --force\(ofMachine)" },
            volume.map { "roost volumes destroy \(cluster) \($0)\(ofVolume)" },
        ]
        let words =
            lastCopy.map { "no record of the cluster names it, but \($0). Take a dump of it; then" }
            ?? "no record of the cluster names it; when you have seen that nothing of it is needed,"
        return words + " remove it: " + commands.compactMap(\.self).joined(separator: "; ")
    }
}
