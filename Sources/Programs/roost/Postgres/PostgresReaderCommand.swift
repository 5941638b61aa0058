import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresReaderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reader", abstract: "Have one reader of a cluster go, or another one in its place.",
        discussion: "How many there are and where says: roost pg scale NAME --readers REGION=COUNT",
        subcommands: [PostgresReaderRemoveCommand.self, PostgresReaderReplaceCommand.self])
}

struct PostgresReaderRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a reader, with its machine and its volume.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "The reader's name.", transform: { try MemberName($0) })
    var reader: MemberName

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try confirmation.confirm("Remove \(reader) from \(name)?")
        let cluster = try await ReadersWait.run("removing \(reader)", name, wait.timeout, global) {
            client async throws(APIError) in
            try await client.removeReader(reader, from: name)
        }
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }
}

struct PostgresReaderReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace", abstract: "Have another reader come for one that goes, whose host may be lost.",
        discussion: "The new one is in the region of the old one, where nothing else is said.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "The reader that goes.", transform: { try MemberName($0) })
    var reader: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try confirmation.confirm("Replace \(reader)?")
        let place = place.body
        let cluster = try await ReadersWait.run("replacing \(reader)", name, wait.timeout, global) {
            client async throws(APIError) in
            try await client.replaceReader(reader, of: name, place)
        }
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }
}

/// Asks for other readers, and waits until those are there, and whoever came by this serves. One that was there before and does
/// not serve, as with its host lost, holds up nobody who asks for others, or for its removal.
enum ReadersWait {
    static func run(
        _ what: String, _ name: AppName, _ timeout: DurationText, _ global: GlobalOptions,
        _ request: @escaping @Sendable (RoostAPIClient) async throws(APIError) -> ReadersAnswer
    ) async throws -> ClusterBody {
        let planet = try Roostds.find(global)
        let advice = "It goes on by itself. See it: roost pg status \(name)"
        return try await interruptible(advice: advice) {
            try await Progress.show(what) { progress in
                let former = Set((try await planet.ask { try await $0.cluster(name) }.readers ?? []).map(\.name))
                let wanted = Set(try await planet.ask { try await request($0) }.readers)
                let comers = wanted.subtracting(former)
                return try await PostgresWait.until(
                    "has the readers that were asked for, and those that came serve", name, on: planet, seeing: nil,
                    orElse: "has not the readers that were asked for", timeout: timeout.duration, progress: progress,
                    advice: "Who waits for what: roost pg status \(name)"
                ) { cluster in
                    let readers = cluster.readers ?? []
                    return Set(readers.map(\.name)) == wanted
                        && readers.allSatisfy { $0.isServing || !comers.contains($0.name) }
                }
            }
        }
    }
}
