import ArgumentParser
import RoostModel

struct RoostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "Machines, volumes and Postgres clusters on your own hosts in several regions.",
        discussion: """
            Commands speak to a roostd: the one that --api or ROOST_API names, else the one of this host \
            (/run/roost/api.sock), else that of a running lab.

            Exit status: 0 done, 1 failed, 2 wrong usage.
            Shell completion: roost --generate-completion-script bash|zsh|fish
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(name: "Postgres", subcommands: [PostgresCommand.self]),
            CommandGroup(
                name: "Machines", subcommands: [AppsCommand.self, MachinesCommand.self, VolumesCommand.self]),
            CommandGroup(
                name: "Platform",
                subcommands: [
                    RegionsCommand.self, HostsCommand.self, IPsCommand.self, MeshCommand.self, OperationsCommand.self,
                ]),
            CommandGroup(
                name: "This computer", subcommands: [DoctorCommand.self, ImageCommand.self, LabCommand.self]),
        ])
}

enum Version {
    static let text = Release.version
}
