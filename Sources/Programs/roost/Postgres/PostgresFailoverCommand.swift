import ArgumentParser
import Glibc
import RoostClient
import RoostModel
import RoostWire

struct PostgresFailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Decide who leads where too few members are left for a safe election, and accept what is lost by it.",
        discussion: """
            Shows who is missing and since when, how far each member's log goes, and what may be lost, and changes nothing. With \
            --accept-data-loss it shows that, asks for the cluster's name, and has the member lead: commits that were confirmed \
            and are not in its log are gone. Members that are not heard are no members any more; what they have stays on \
            their volumes until somebody removes them. It is refused while nothing need be lost: then the cluster does it by itself, or \
            roost pg switchover does. A leader that is cut off with enough standbys may go on with its own clients: turn \
            those hosts off first.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(
        help: .init(
            "The member that is to lead (else the one whose log goes furthest; a worse one has to be named).",
            valueName: "member"),
        transform: { try MemberName($0) })
    var to: MemberName?

    @Flag(help: "Decide it: what the member does not have is lost.")
    var acceptDataLoss = false

    @Option(
        help: "How long it may take until clients can write again, for example 30s (else 60 s).",
        transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        guard timeout.duration > .zero else { throw ValidationError("--timeout is more than 0") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let shown = try await planet.ask { try await $0.failover(of: name, to: to) }
        guard acceptDataLoss else { return try output.show(shown) { $0.report(of: name) } }
        guard let proposal = shown.proposal else {
            throw CommandFailure(
                "nothing is decided of \(name): \(shown.obstacle ?? "nothing follows from what is heard")",
                advice: "See who is missing, and how far each is: roost pg failover \(name)")
        }
        Terminal.say(shown.report(of: name, isBeingDecided: true))
        try confirmation.confirm(
            "Commits of \(name) that \(proposal.member) does not have are lost, and nobody can bring them back by this cluster.",
            byTyping: name.text)
        let advice = "It may have been decided all the same. See it: roost pg status \(name)"
        let cluster = try await interruptible(advice: advice) {
            try await Progress.show("having \(proposal.member) lead \(name)") {
                try await decide(shown, proposal, on: planet, $0)
            }
        }
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }

    private func decide(
        _ shown: FailoverBody, _ proposal: FailoverProposal, on planet: Roostds, _ progress: Progress
    ) async throws -> ClusterBody {
        let wish = FailoverWish(
            revision: shown.revision, proposal: proposal, acceptsDataLoss: true, by: Self.asker())
        let id = try await planet.ask { try await $0.decideFailover(name, as: wish) }
        return try await PostgresWait.until(
            "has a leader again", name, on: planet, seeing: try? PlanetOperationID(id), orElse: "was not failed over",
            timeout: timeout.duration, progress: progress,
            advice: "It is decided. Who is missing: roost pg status \(name); decide again: roost pg failover \(name)"
        ) { $0.epoch >= proposal.calls && $0.isServing }
    }

    /// For whoever looks at it later; nobody goes by it.
    private static func asker() -> String? {
        guard let entry = getpwuid(getuid()), let text = entry.pointee.pw_name else { return nil }
        var bytes = [CChar](repeating: 0, count: 65)
        let host =
            gethostname(&bytes, 64) == 0
            ? String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
        let words = String(cString: text) + (host.isEmpty ? "" : "@\(host)")
        return words.utf8.count <= ForcedFailover.wordsMax ? words : nil
    }
}

extension FailoverBody {
    fileprivate func report(of name: AppName, isBeingDecided: Bool = false) -> String {
        var facts = Facts([("Rule", "epoch \(epoch), \(leader) leads")])
        if let silent = leaderSilentMilliseconds { facts.facts.append(("Leader heard", Self.ago(silent))) }
        let missing = members.filter { !$0.isHeard }
        if !missing.isEmpty {
            let words = missing.map { member in
                "\(member.name)\(member.host.map { " on \($0)" } ?? "") (\(Self.ago(member.silentMilliseconds)))"
            }
            facts.facts.append(("Missing", words.joined(separator: ", ")))
        }
        if let proposal { facts.facts += Self.facts(of: proposal, members) }
        if let obstacle { facts.facts.append(("Not now", Terminal.harmless(obstacle))) }
        var table = Table("MEMBER", "HEARD", "LOG", "LAST COMMIT", "BEHIND", "")
        let furthest = members.compactMap(\.logEnd).max { $0.isBehind($1) }
        for member in members {
            let behind = member.logEnd.flatMap { end in furthest.flatMap { $0.bytes(beyond: end) } }
            table.add(cells: [
                Cell(member.name.text),
                Cell(member.isHeard ? "yes" : Self.ago(member.silentMilliseconds), member.isHeard ? .plain : .bad),
                Cell(member.logEnd.map { "\($0)" } ?? "-"), Cell(member.lastCommit ?? "-"),
                .number(behind.map { "\($0)" } ?? "-"), Cell(member.obstacle.map { Terminal.harmless($0) } ?? ""),
            ])
        }
        var parts = [facts.text, table.text()]
        if let proposal, !isBeingDecided {
            parts.append(
                "Do it: roost pg failover \(name) --to \(proposal.member) --accept-data-loss\n"
                    + "First make sure that the hosts of members that are given up are off, or cut off from all clients."
            )
        }
        return parts.joined(separator: "\n\n")
    }

    private static func facts(
        of proposal: FailoverProposal, _ members: [FailoverMemberBody]
    ) -> [(name: String, value: String)] {
        let named = members.first { $0.name == proposal.member }
        let commit = named?.lastCommit.map { ", its last commit of \($0)" } ?? ""
        let rest = proposal.keeps.filter { $0 != proposal.member }.map(\.text)
        let with = rest.isEmpty ? "alone" : "with \(rest.joined(separator: ", "))"
        let loss: String
        if let furthest = proposal.furthest {
            let least = furthest.bytes > 0 ? "at least \(furthest.bytes) bytes of log" : "the log"
            loss =
                "\(least) up to \(furthest.logEnd), which \(furthest.member) has reported, and all that was confirmed after that"
        } else if proposal.losesNothing == true {
            loss = "nothing: it leads now, and has all that was confirmed"
        } else {
            loss =
                "what was confirmed after \(proposal.logEnd): nobody has said that it has more, and whoever is not heard, or has "
                + "lost its data, may have had more"
        }
        return [
            ("Leads then", "\(proposal.member) \(with), at \(proposal.logEnd)\(commit), in epoch \(proposal.calls)"),
            ("Lost", Terminal.paint(loss, .warning)),
            (
                "Given up",
                proposal.givesUp.isEmpty
                    ? "nobody"
                    : proposal.givesUp.map(\.text).joined(separator: ", ")
                        + ": no members any more; their volumes are kept"
            ),
            (
                "Confirms",
                proposal.confirmations == 0
                    ? "no standby: the next loss of a disk loses commits, until members are added"
                    : "\(counted(proposal.confirmations, "standby", plural: "standbys"))"
            ),
        ]
    }

    private static func ago(_ milliseconds: Int64?) -> String {
        guard let milliseconds else { return "nobody knows since when it is not" }
        return milliseconds < 7000 ? "a moment ago" : "not for \(milliseconds / 1000) s"
    }
}

extension PositionBody {
    private var offset: UInt64 { LSN(text: end)?.offset ?? 0 }

    fileprivate func isBehind(_ other: PositionBody) -> Bool { (epoch, offset) < (other.epoch, other.offset) }

    /// Nil: of another epoch what lies between is not all that is missing, nor is all of that one's there.
    fileprivate func bytes(beyond other: PositionBody) -> UInt64? {
        guard epoch == other.epoch else { return nil }
        return offset > other.offset ? offset - other.offset : 0
    }
}
