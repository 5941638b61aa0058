import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresPauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Keep a cluster's leader while somebody works on its hosts.",
        discussion: """
            Whoever leads goes on leading: when it is away for a while, nobody else is made the leader, and clients wait \
            until it is back or somebody says 'roost pg switchover', which goes on as ever. It ends by itself. Asked for \
            again, it is counted anew.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(
        name: .customLong("for"),
        help: .init("How long, at most 24h, for example 30m (else 1h).", valueName: "duration"),
        transform: { try timeLimit($0) })
    var length = DurationText(WishTerm.pauseDefault)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        let isWhole = DurationText(.seconds(length.duration.components.seconds)) == length
        guard isWhole, length.duration > .zero, length.duration <= WishTerm.lengthMax else {
            throw ValidationError("--for is from 1s to 24h, in whole seconds")
        }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice = "It may be paused all the same. See it: roost pg status \(name); end it: roost pg resume \(name)"
        let cluster = try await interruptible(advice: advice) {
            try await planet.ask { try await $0.pause(name, for: length.duration) }
        }
        try output.show(try AuthorityFile.trusting(cluster)) { cluster in
            let until = cluster.pause.map { " until \($0.endsAt)" } ?? ""
            return "Cluster \(name) keeps its leader\(cluster.leader.map { ", \($0)," } ?? "")\(until). "
                + "Before that: roost pg resume \(name)"
        }
    }
}

struct PostgresResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "End a pause: members choose another leader again when theirs is gone.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice = "The pause may be over all the same. See it: roost pg status \(name)"
        let cluster = try await interruptible(advice: advice) { try await planet.ask { try await $0.resume(name) } }
        try output.show(try AuthorityFile.trusting(cluster)) { Self.words(for: $0, name) }
    }

    private static func words(for cluster: ClusterBody, _ name: AppName) -> String {
        var words =
            switch cluster.resumed.map({ ($0.wasPaused, $0.endsAt) }) {
            case (true, let end)?:
                "The pause of \(name)\(end.map { ", until \($0)," } ?? "") is ended: when its leader is gone, "
                    + "members choose another again."
            case (false, let end?)?: "The pause of \(name) was over by itself at \(end)."
            case (false, nil)?: "Cluster \(name) was not paused: nothing is changed."
            case nil: cluster.pause == nil ? "Cluster \(name) is not paused." : ""
            }
        if let pause = cluster.pause {
            words += "\(words.isEmpty ? "" : " ")It is paused until \(pause.endsAt): somebody has asked for that since."
        }
        return words
    }
}
