import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct VolumesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volumes", abstract: "Volumes: file systems on one host's disk, for one machine at a time.",
        subcommands: [Create.self, List.self, Show.self, Destroy.self], aliases: ["volume"])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a volume.")

        @Argument(help: "The app's name.", transform: { try AppName($0) })
        var app: AppName

        @Argument(help: "The volume's name.")
        var name: String

        @Option(help: "The region (else the asked host's own).", transform: { try RegionCode($0) })
        var region: RegionCode?

        @Option(help: .init("Size in GB.", valueName: "gb"))
        var size = 1

        @Option(help: "Keep this many virtual CPUs on the host for the machine that will come.")
        var cpus: Int?

        @Option(help: .init("Keep this much memory on the host for the machine that will come.", valueName: "mib"))
        var memory: Int?

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        mutating func validate() throws {
            let sizes = VolumeRecord.gibibytes
            guard sizes.contains(size) else {
                throw ValidationError("--size is from \(sizes.lowerBound) to \(sizes.upperBound) GB")
            }
        }

        func run() async throws {
            var compute: MachineGuest?
            if cpus != nil || memory != nil {
                let guest = MachineGuest()
                compute = MachineGuest(cpus: cpus ?? guest.cpus, memoryMebibytes: memory ?? guest.memoryMebibytes)
            }
            let request = CreateVolumeRequest(
                name: name, region: region?.text, sizeGigabytes: size, compute: compute)
            let planet = try Roostds.find(global)
            let advice = """
                No host has answered, and one may go on making the volume. See it: roost volumes list \(app)
                Take it back: roost volumes destroy \(app) ID
                """
            let volume = try await interruptible(advice: advice) {
                try await Progress.show("writing a volume of \(size) GB") { _ in
                    try await planet.ask { try await $0.createVolume(request, in: app) }
                }
            }
            try output.show(volume) { $0.facts.text }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the volumes of an app, or of all apps.")

        @Argument(help: "The app's name.", transform: { try AppName($0) })
        var app: AppName?

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let volumes = try await Roostds.find(global).ask { client in
                if let app { return try await Self.volumes(of: [app], by: client) }
                return try await Self.volumes(of: client.apps().map(\.name).sorted(), by: client)
            }
            try output.showList(volumes, nothing: "There is no volume. Create one: roost volumes create APP NAME") {
                var table = Table("APP", "ID", "NAME", "STATE", "SIZE", "REGION", "HOST", "MACHINE")
                for volume in $0 {
                    table.add(
                        Cell(volume.app?.text ?? "-"), Cell(volume.id.text), Cell(volume.name),
                        Cell(volume.state.rawValue, volume.state.style),
                        .number("\(volume.sizeGigabytes) GB"), Cell(volume.region.text),
                        volume.hostStatus == "ok"
                            ? Cell(volume.zone) : Cell("\(volume.zone) (\(volume.hostStatus))", .warning),
                        Cell(volume.attachedMachineID?.text ?? "-"))
                }
                return table
            }
        }

        private static func volumes(of apps: [AppName], by client: RoostAPIClient) async throws -> [VolumeBody] {
            var all: [VolumeBody] = []
            for app in apps {
                for var volume in try await client.volumes(of: app) {
                    // A host of an older version does not say it.
                    volume.app = app
                    all.append(volume)
                }
            }
            return all
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a volume.")

        @OptionGroup var argument: VolumeArgument
        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let volume = try await Roostds.find(global).volume(argument.volume, of: argument.app)
            try output.show(volume) { $0.facts.text }
        }
    }

    struct Destroy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Destroy a volume and all that is on it.")

        @OptionGroup var argument: VolumeArgument

        @Flag(help: "Also what is left over of a Postgres cluster and may be all that it has confirmed.")
        var force = false

        @Flag(help: "It is no failure if there is no such volume.")
        var ifExists = false

        @OptionGroup var confirmation: ConfirmationOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try confirmation.confirm("Destroy volume \(argument.volume) of \(argument.app) and all that is on it?")
            let planet = try Roostds.find(global)
            let advice = "A host that has the order goes on destroying it. See it: roost volumes list \(argument.app)"
            try await ignoringMissing(ifExists) {
                try await interruptible(advice: advice) {
                    _ = try await planet.ask {
                        try await $0.destroyVolume(argument.volume, of: argument.app, force: force)
                    }
                }
                Terminal.result("Volume \(argument.volume) is destroyed.")
            }
        }
    }
}

/// The volume a command is about.
struct VolumeArgument: ParsableArguments {
    @Argument(help: "The app's name.", transform: { try AppName($0) })
    var app: AppName

    @Argument(help: "The volume's id, vol_…", transform: { try VolumeID($0) })
    var volume: VolumeID
}

extension VolumeState {
    var style: Terminal.Style {
        switch self {
        case .created: .good
        case .creating, .pendingDestroy: .warning
        case .destroyed: .plain
        case .unknown: .warning
        }
    }
}

extension VolumeBody {
    var facts: Facts {
        Facts([
            ("ID", id.text), ("Name", name), ("State", Terminal.paint(state.rawValue, state.style)),
            (
                "Size",
                "\(sizeGigabytes) GB, "
                    + (blocks == 0
                        ? "free space unknown: not mounted" : "\(ByteCount(bytes: blocksAvailable * blockSize)) free")
            ),
            ("File system", readOnly == true ? "\(fstype), read-only after an error: restart its machine" : fstype),
            ("Files", inodesFree.map { "room for \($0) more" } ?? "unknown: not mounted"), ("Region", region.text),
            ("Host", hostStatus == "ok" ? zone : "\(zone) (\(hostStatus))"),
            ("Machine", attachedMachineID?.text ?? "none"), ("Created", createdAt),
        ])
    }
}
