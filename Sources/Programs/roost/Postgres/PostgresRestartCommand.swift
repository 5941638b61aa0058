import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresRestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Start the Postgres of a cluster's members anew, one after the other.",
        discussion: """
            Replicas come first, each only while all others stream; the leader comes last and hands over before. It goes on \
            when this command is interrupted; said again, the command watches the one that is under way, or begins \
            another when that has ended.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(help: "This member and no other.", transform: { try MemberName($0) })
    var member: MemberName?

    @Flag(
        help: """
            The leader stays in office: clients wait until its Postgres is back. One that takes more than 10 s for that \
            offers its office all the same, unless the cluster is paused: roost pg pause NAME
            """)
    var noSwitchover = false

    @Flag(help: "Take back what is under way: whoever has begun ends it, and nobody else begins.")
    var cancel = false

    @Option(
        help: "When it is over no member begins any more, at most 24h, for example 10m (else 600 s).",
        transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(600))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if cancel, member != nil || noSwitchover { throw ValidationError("--cancel takes back the whole of it") }
        let isWhole = DurationText(.seconds(timeout.duration.components.seconds)) == timeout
        guard isWhole, timeout.duration > .zero, timeout.duration <= WishTerm.lengthMax else {
            throw ValidationError("--timeout is from 1s to 24h, in whole seconds")
        }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice =
            "It goes on by itself. See it: roost pg status \(name); take it back: roost pg restart \(name) --cancel"
        let cluster = try await interruptible(advice: advice) {
            if cancel {
                let isTakenBack = try await planet.ask { try await $0.cancelRestart(name) }
                if isTakenBack == false { Terminal.say("No restart of \(name) is under way: nothing is changed.") }
                return try await planet.ask { try await $0.cluster(name) }
            }
            return try await Progress.show("starting \(member.map(\.text) ?? "all members of \(name)") anew") {
                try await restart(on: planet, $0)
            }
        }
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }

    private func restart(on planet: Roostds, _ progress: Progress) async throws -> ClusterBody {
        // That nobody knows how it is keeps it from being started anew only where its leader is to stay.
        let present: ClusterBody?
        do { present = try await planet.ask { try await $0.cluster(name) } } catch let error as APIError {
            if noSwitchover { throw error }
            present = nil
        }
        let leader = noSwitchover ? present?.leader : nil
        // What members say in the midst of a restart may be about it: then nobody knows what they said before.
        let former = present?.restart?.goesOn == true ? nil : present
        let id = try await planet.ask {
            try await $0.restart(name, member, handsOver: !noSwitchover, within: timeout.duration)
        }
        var settling = Settling()
        let cluster = try await PostgresWait.until(
            "is started anew", name, on: planet, seeing: try? PlanetOperationID(id),
            orElse: "was not started anew", timeout: timeout.duration, progress: progress,
            advice: "Who waits for whom: roost pg status \(name)"
        ) { cluster in
            guard let wish = cluster.restart, wish.id == id else { return false }
            if wish.left.isEmpty {
                return cluster.isServing
                    && settling.isOver(wish.done.allSatisfy { cluster.showsRunning($0, as: former) })
            }
            if let refusal = wish.refusal {
                throw CommandFailure(
                    "not started anew by then: \(wish.left.map(\.text).joined(separator: ", ")): \(refusal)",
                    advice: "One that had begun ends it. See it: roost pg status \(name)")
            }
            return false
        }
        if let leader, let present = cluster.leader, present != leader {
            progress.tell("\(present) leads now: \(leader) did not stay in office")
        }
        return cluster
    }

    /// The rule says that a member is done, and its own report comes a moment after: what is shown at the end is to show it.
    private struct Settling {
        static let limit = Duration.seconds(10)
        private var since: ContinuousClock.Instant?

        /// - Parameter isSettled: everything shows it.
        mutating func isOver(_ isSettled: Bool) -> Bool {
            let began = since ?? .now
            since = began
            return isSettled || .now - began >= Self.limit
        }
    }
}

extension RestartState {
    fileprivate var goesOn: Bool { !left.isEmpty && refusal == nil }
}

extension ClusterBody {
    /// It is up, its leader sees it, and it says nothing that it did not say before all began: what it says all the time is
    /// nothing to wait for.
    ///
    /// - Parameter former: before all began; nil: nobody knows.
    fileprivate func showsRunning(_ member: MemberName, as former: ClusterBody?) -> Bool {
        guard let body = members.first(where: { $0.name == member }) else { return true }
        let isNews = body.detail != nil && body.detail != former?.members.first { $0.name == member }?.detail
        return body.state == MemberReport.State.running.rawValue && body.lagBytes != nil && !isNews
    }
}
