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

    @OptionGroup var change: ChangeOptions

    @Argument(help: "The reader's name.", transform: { try MemberName($0) })
    var reader: MemberName

    @OptionGroup var confirmation: ConfirmationOptions

    func run() async throws {
        try confirmation.confirm("Remove \(reader) from \(change.name)?")
        let cluster = try await change.readers("removing \(reader)") { client, name async throws(APIError) in
            try await client.removeReader(reader, from: name)
        }
        try change.show(cluster)
    }
}

struct PostgresReaderReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace", abstract: "Have another reader come for one that goes, whose host may be lost.",
        discussion: "The new one is in the region of the old one, where nothing else is said.")

    @OptionGroup var change: ChangeOptions

    @Argument(help: "The reader that goes.", transform: { try MemberName($0) })
    var reader: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions

    func run() async throws {
        try confirmation.confirm("Replace \(reader)?")
        let cluster = try await change.readers("replacing \(reader)") { client, name async throws(APIError) in
            try await client.replaceReader(reader, of: name, place.body)
        }
        try change.show(cluster)
    }
}
