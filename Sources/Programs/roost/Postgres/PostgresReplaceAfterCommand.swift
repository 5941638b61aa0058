import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresReplaceAfterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace-after", abstract: "Say when a lost member of a cluster is replaced by itself.",
        discussion: """
            A member that nobody hears, on a host that nobody hears, is replaced by another one of its region when that has \
            lasted so long: roost pg replace-after orders 30m. A replacement that is under way goes on; take it back with: \
            roost pg scale NAME --cancel
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(
        help: .init("A duration from 10s to 168h, or never.", valueName: "duration"),
        transform: { try ReplacementTerm($0) })
    var term: ReplacementTerm

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let cluster = try await planet.ask { try await $0.replace(after: term, in: name) }
        try output.show(try AuthorityFile.trusting(cluster)) { _ in
            switch term {
            case .never, .unknown: "A lost member of \(name) is replaced when somebody asks for it."
            case .after: "A member of \(name) that stays lost for \(term) is replaced."
            }
        }
    }
}
