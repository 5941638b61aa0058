import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct AppsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apps", abstract: "Apps: names that machines and volumes belong to, each with a private network.",
        subcommands: [Create.self, List.self, Show.self, Destroy.self], aliases: ["app"])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create an app.")

        @Argument(help: "The app's name.", transform: { try AppName($0) })
        var name: AppName

        @Option(
            help: "The private network to join; without it the app gets one of its own.",
            transform: { try NetworkName($0) })
        var network: NetworkName?

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let planet = try Roostds.find(global)
            let advice = """
                It may be made all the same. See it: roost apps show \(name)
                Take it back: roost apps destroy \(name)
                """
            let app = try await interruptible(advice: advice) {
                do {
                    return try await planet.ask { client in
                        try await client.createApp(CreateAppRequest(name: name.text, network: network?.text))
                        return try await client.app(name)
                    }
                } catch let error as APIError where error.isNameTaken {
                    throw CommandFailure(
                        "there is an app '\(name)' already",
                        advice: "See it: roost apps show \(name)   Or take another name.")
                }
            }
            try output.show(app) { "App \($0.name) is there, on network \($0.network)." }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the apps.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let apps = try await Roostds.find(global).ask { try await $0.apps() }
            try output.showList(apps, nothing: "There is no app. Create one: roost apps create NAME") { apps in
                var table = Table("NAME", "STATUS", "NETWORK", "MACHINES", "VOLUMES")
                for app in apps.sorted(by: { $0.name < $1.name }) {
                    table.add(
                        Cell(app.name.text), Cell(app.status), Cell(app.network), .number(app.machineCount),
                        .number(app.volumeCount))
                }
                return table
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show an app.")

        @Argument(help: "The app's name.", transform: { try AppName($0) })
        var name: AppName

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let app = try await Roostds.find(global).ask { try await $0.app(name) }
            try output.show(app) { app in
                Facts([
                    ("Name", app.name.text), ("Status", app.status), ("Network", app.network),
                    ("Machines", "\(app.machineCount)"), ("Volumes", "\(app.volumeCount)"),
                ]).text
            }
        }
    }

    struct Destroy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Destroy an app that has no machines and volumes left.")

        @Argument(help: "The app's name.", transform: { try AppName($0) })
        var name: AppName

        @Flag(help: "It is no failure if there is no such app.")
        var ifExists = false

        @OptionGroup var confirmation: ConfirmationOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try confirmation.confirm("Destroy app \(name)?")
            let planet = try Roostds.find(global)
            try await ignoringMissing(ifExists) {
                try await interruptible(advice: "It may be destroyed all the same. See it: roost apps show \(name)") {
                    try await planet.ask { try await $0.destroyApp(name) }
                }
                Terminal.result("App \(name) is destroyed.")
            }
        }
    }
}

typealias Cell = Table.Cell

/// Runs a `destroy`; with `--if-exists` a thing that is not there is as good as destroyed.
func ignoringMissing(_ ifExists: Bool, _ destroy: () async throws -> Void) async throws {
    do {
        try await destroy()
    } catch  where ifExists && ((error as? APIError)?.isNotFound ?? (error as? CommandFailure)?.isAbsence ?? false) {
        Terminal.say("There was nothing to destroy.")
    }
}
