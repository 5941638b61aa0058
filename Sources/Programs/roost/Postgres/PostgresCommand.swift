import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pg", abstract: "Postgres clusters: a primary and its replicas in other regions, at one address.",
        subcommands: [
            PostgresCreateCommand.self, PostgresListCommand.self, PostgresStatusCommand.self,
            PostgresConnectCommand.self, PostgresSuperuserCommand.self,
            PostgresAllowCommand.self,
            PostgresSwitchoverCommand.self, PostgresPauseCommand.self, PostgresResumeCommand.self,
            PostgresRestartCommand.self, PostgresMemberCommand.self, PostgresReaderCommand.self,
            PostgresScaleCommand.self,
            PostgresReplaceAfterCommand.self,
            PostgresRecoverCommand.self, PostgresFailoverCommand.self, PostgresDestroyCommand.self,
        ], aliases: ["postgres"])
}

struct PostgresListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the clusters.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let clusters = try await Roostds.find(global).clusters().map { try AuthorityFile.trusting($0) }
        try output.showList(
            clusters, nothing: "There is no cluster. Create one: roost pg create NAME --region REGION"
        ) { clusters in
            var table = Table("NAME", "STATUS", "EPOCH", "LEADER", "MEMBERS", "RULE", "DETAIL")
            for cluster in clusters.sorted(by: { $0.name < $1.name }) {
                table.add(
                    Cell(cluster.name.text), Cell(cluster.status.rawValue, cluster.status.style),
                    .number(cluster.epoch), Cell(cluster.leader?.text ?? "-"), Cell(cluster.places),
                    Cell(cluster.rule), Cell(cluster.detail ?? ""))
            }
            return table
        }
    }
}

struct PostgresStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show a cluster: who leads, where each member is, how far behind it is.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Flag(help: "Show it again whenever it changes, until Ctrl-C. With --json, one object on each line.")
    var watch = false

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Show the URLs with their password. --json always has it.")
    var showPassword = false

    static let watchInterval = Duration.milliseconds(500)

    func run() async throws {
        let planet = try Roostds.find(global)
        guard watch else {
            let cluster = try AuthorityFile.trusting(try await planet.cluster(name))
            return try output.show(cluster) { $0.report(showsPassword: showPassword) }
        }
        var shown: String?
        while true {
            let text: String
            do {
                let cluster = try AuthorityFile.trusting(try await planet.cluster(name))
                text =
                    output.json
                    ? String(decoding: try RoostJSON.encode(cluster), as: UTF8.self)
                    : cluster.report(showsPassword: showPassword)
            } catch let error as APIError where !error.isNotFound && error.status != 401 {
                // It is being watched because hosts may be away.
                text = output.json ? shown ?? "" : Terminal.paint("\(error)", .bad)
            }
            if text != shown, !text.isEmpty {
                let clear = !output.json && Terminal.isTerminal(.output) ? "\u{1b}[H\u{1b}[2J" : ""
                Terminal.put(clear + text + "\n", on: .output)
                shown = text
            }
            if Terminal.isReaderGone { Terminal.endAsUnread() }
            try await Task.sleep(for: Self.watchInterval)
        }
    }
}

struct PostgresSwitchoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switchover", abstract: "Make another member the primary, without losing anything.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(
        help: .init("The member that is to lead (else the most advanced one).", valueName: "member"),
        transform: { try MemberName($0) })
    var to: MemberName?

    @Option(help: "How long it may take, for example 30s (else 60 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let before = try await planet.cluster(name)
        if let to, before.leader == to {
            Terminal.say("\(to) leads already.")
            try output.show(try AuthorityFile.trusting(before)) { $0.report }
            guard before.isServing else {
                let why = before.detail.map { ": \($0)" } ?? ""
                throw CommandFailure(
                    "\(name) is \(before.status.rawValue)\(why)", advice: "See it: roost pg status \(name) --watch")
            }
            return
        }
        let advice = "The cluster goes on by itself. See it: roost pg status \(name)"
        let after = try await interruptible(advice: advice) {
            try await Progress.show("switching \(name) over\(to.map { " to \($0)" } ?? "")") { progress in
                let id = try await planet.ask { try await $0.switchover(name, to: to) }
                return try await PostgresWait.until(
                    "has a new primary", name, on: planet, seeing: id.flatMap { try? PlanetOperationID($0) },
                    orElse: "was not switched over", timeout: timeout.duration, progress: progress
                ) { cluster in
                    if let id, let wish = cluster.switchover, wish.id == id, let refusal = wish.refusal {
                        throw CommandFailure(
                            "\(name) was not switched over: \(refusal)", advice: "See it: roost pg status \(name)")
                    }
                    return cluster.epoch > before.epoch && cluster.leader != nil && cluster.isServing
                }
            }
        }
        try output.show(try AuthorityFile.trusting(after)) { $0.report }
        if let to, after.leader != to {
            throw CommandFailure(
                "\(after.leader?.text ?? "nobody") leads now, not \(to)", advice: "See why: roost pg status \(name)")
        }
    }
}

struct PostgresDestroyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "destroy", abstract: "Destroy a cluster: its machines, its volumes and all that is on them.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Flag(help: "It is no failure if there is no such cluster.")
    var ifExists = false

    @Option(help: "How long it may take, for example 2m (else 120 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(120))

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try confirmation.confirm("Destroy cluster \(name) and all that is in it?")
        let planet = try Roostds.find(global)
        try await ignoringMissing(ifExists) {
            let before = try await interruptible(advice: "It goes on being destroyed. See it: roost pg list") {
                try await Progress.show("destroying cluster \(name)") { progress in
                    let before = await Self.look(at: name, on: planet)
                    let operation = try await planet.ask { try await $0.destroyCluster(name) }
                    try await PostgresWait.untilGone(
                        name, on: planet, seeing: operation, timeout: timeout.duration, progress: progress)
                    return before
                }
            }
            Terminal.result("Cluster \(name) is destroyed.")
            do { if let before { try AuthorityFile.forget(before) } } catch {
                Terminal.say("What this command line kept of its authority is left: \(error)")
            }
        }
    }

    /// The cluster says by which authority it is known; afterwards nobody does. Nothing is left undone for want of an answer.
    private static func look(at name: AppName, on planet: Roostds) async -> ClusterBody? {
        await withTaskGroup(of: ClusterBody?.self) { group in
            group.addTask { try? await planet.cluster(name) }
            group.addTask {
                try? await Task.sleep(for: Roostds.probeTimeout)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
