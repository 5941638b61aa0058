import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresRecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Put a cluster's rule right after its store has gone back to an older copy.",
        discussion: """
            Shows what each member knows, and what the rule would become, and changes nothing. With --apply it shows that and \
            makes it the rule, unless something else follows by then: all members are called to a new epoch, and choose their leader by their logs. Nothing is removed from any \
            member's volume by this; what it has that the rule does not, a member takes back when it follows again, or keeps \
            and does nothing. It is refused when those that are heard cannot know all that was confirmed. What a member says that you do not believe counts \
            for nothing once its machine is stopped.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Flag(help: "Change the rule to what is shown, after showing it.")
    var apply = false

    @Option(
        help: "How long it may take until clients can write again, for example 30s (else 60 s).",
        transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        guard timeout.duration > .zero else { throw ValidationError("--timeout is more than 0") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let recovery = try await planet.ask { try await $0.recovery(of: name) }
        guard apply else { return try output.show(recovery) { $0.report(of: name) } }
        if let doubt = recovery.doubt {
            throw CommandFailure(
                "the rule of \(name) is not changed: \(doubt)", advice: "See who is there: roost pg status \(name)")
        }
        guard recovery.isNeeded else {
            Terminal.say("No member of \(name) says that the store has gone back: its rule stays as it is.")
            return try output.show(try AuthorityFile.trusting(try await planet.cluster(name))) { $0.report }
        }
        guard let proposal = recovery.proposal else {
            throw CommandFailure(
                "the rule of \(name) is not changed: \(recovery.obstacle ?? "nothing follows from what members know")",
                advice: "See what each knows: roost pg recover \(name)")
        }
        Terminal.say(recovery.report(of: name, isBeingApplied: true))
        let advice = "The rule may have been changed all the same. See it: roost pg status \(name)"
        let cluster = try await interruptible(advice: advice) {
            try await Progress.show("calling the members of \(name) to epoch \(proposal.calls)") {
                try await apply(recovery, proposal, on: planet, $0)
            }
        }
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }

    private func apply(
        _ recovery: RecoveryBody, _ proposal: RecoveryProposal, on planet: Roostds, _ progress: Progress
    ) async throws -> ClusterBody {
        let wish = RecoverBody(revision: recovery.revision, proposal: proposal)
        _ = try await planet.ask { try await $0.recover(name, as: wish) }
        return try await PostgresWait.until(
            "has a leader again", name, on: planet, seeing: nil, orElse: "was not put right",
            timeout: timeout.duration, progress: progress,
            advice: "The rule is put right. Who is missing: roost pg status \(name)"
        ) { $0.epoch >= proposal.calls && $0.isServing }
    }
}

extension RecoveryBody {
    fileprivate func report(of name: AppName, isBeingApplied: Bool = false) -> String {
        var table = Table("MEMBER", "HEARD", "COUNTS", "PROMISED", "OPEN LAST", "LAST LEADER IT KNOWS", "OWN LOG")
        for member in members {
            table.add(cells: [
                Cell(member.name.text), Cell(member.isHeard ? "yes" : "no", member.isHeard ? .plain : .bad),
                // A host of a version before does not say.
                needed == nil ? Cell("-") : Cell(member.mute == nil ? "yes" : "no", member.mute == nil ? .plain : .bad),
                .number(member.promised.map { "\($0)" } ?? "-"), Cell(member.opened?.text ?? "-"),
                Cell(member.last?.text ?? "-"),
                // A host of a version before says it as a number alone.
                Cell((member.logEnd ?? member.position.map(PositionBody.init)).map { "\($0)" } ?? "-"),
            ])
        }
        var facts = Facts([("Store", "epoch \(epoch), \(leader) leads")])
        if let proposal {
            facts.facts.append(("Rule", "\(proposal.last.text), \(ground(of: proposal))"))
            facts.facts.append(("Then", "all members are called to epoch \(proposal.calls), and choose by their logs"))
            let strangers = proposal.strangers.map(\.text).joined(separator: ", ")
            if !strangers.isEmpty { facts.facts.append(("Left out", "\(strangers): of another history")) }
        }
        if let doubt {
            facts.facts.append(("Not now", doubt))
        } else if !isNeeded {
            facts.facts.append(("To do", "nothing: no member says that the store has gone back, so its rule is right"))
        } else if let obstacle {
            facts.facts.append(("Not now", obstacle))
        }
        let unheard = members.filter { !$0.isHeard }.map(\.name.text).joined(separator: ", ")
        if !isNeeded, !unheard.isEmpty {
            facts.facts.append(("Not heard", "\(unheard): what they know is not known"))
        }
        let proofs = members.filter(\.hasProof).compactMap { member in
            member.detail.map { "\(member.name): \(Terminal.harmless($0))" }
        }
        let mutes = members.compactMap { member in
            member.mute.map { "\(member.name) does not count: \(Terminal.harmless($0))" }
        }
        // Where there is nothing to do, who counts and who does not is no question, and would frighten.
        var parts = isNeeded ? [facts.text, table.text()] : [facts.text]
        if isNeeded, !mutes.isEmpty { parts.append(mutes.joined(separator: "\n")) }
        if !proofs.isEmpty { parts.append(proofs.joined(separator: "\n")) }
        if proposal != nil, !isBeingApplied { parts.append("Do it: roost pg recover \(name) --apply") }
        return parts.joined(separator: "\n\n")
    }

    /// Whose knowledge a rule rests on is for people to weigh: it may be one member's word.
    private func ground(of proposal: RecoveryProposal) -> String {
        guard let source = proposal.source else { return "as the store has it" }
        let others = members.filter { $0.name != source && $0.last == proposal.last }.map(\.name.text)
        return others.isEmpty ? "as \(source) alone knows" : "as \(source) knows, and \(others.joined(separator: ", "))"
    }
}

extension ReignBody {
    fileprivate var text: String { "\(leader) in epoch \(epoch), from \(begin)" }
}
