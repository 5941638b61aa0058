import ArgumentParser
import FoundationEssentials
import RoostClient
import RoostLinux
import RoostModel
import RoostWire

struct MachineCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a machine and start it.",
        discussion: """
            The image is docker://NAME (a registry), oci:/FOLDER:TAG or dir:/FOLDER (a root file system). With a volume \
            the machine goes to the volume's host; otherwise to the host that fits best in the region.
            """)

    @Argument(help: "The app's name.", transform: { try AppName($0) })
    var app: AppName

    @Option(help: "The image to run.")
    var image: String?

    @Option(help: .init("The whole machine config as JSON; - reads it from standard input.", valueName: "file"))
    var config: String?

    @Option(help: "The region (else the asked host's own).", transform: { try RegionCode($0) })
    var region: RegionCode?

    @Option(help: "The machine's name.")
    var name: String?

    @Option(help: "Virtual CPUs (else 1).")
    var cpus: Int?

    @Option(
        help: .init("\(MachineGuest.CPUKind.choices) (else \(MachineGuest().cpuKind.rawValue)).", valueName: "kind"),
        completion: MachineGuest.CPUKind.completion, transform: { try choice($0) })
    var cpuKind: MachineGuest.CPUKind?

    @Option(help: .init("Memory in MiB (else 256).", valueName: "mib"))
    var memory: Int?

    @Option(name: [.short, .long], help: .init("A variable of its environment.", valueName: "name=value"))
    var env: [String] = []

    @Option(help: .init("Mount a volume.", valueName: "volume:path"))
    var volume: [String] = []

    @Option(
        help: .init(
            "\(MachineRestart.Policy.choices) (else \(MachineRestart().policy.rawValue)).", valueName: "policy"),
        completion: MachineRestart.Policy.completion, transform: { try choice($0) })
    var restart: MachineRestart.Policy?

    @Flag(help: "Create it without starting it.")
    var skipLaunch = false

    @Flag(inversion: .prefixedNo, help: "Wait until it is started.")
    var wait = true

    @Argument(parsing: .postTerminator, help: "The command to run instead of the image's, after --.")
    var command: [String] = []

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if config == nil, image == nil { throw ValidationError("say what to run: --image IMAGE, or --config FILE") }
        for text in env where text.first == "=" || !text.contains("=") {
            throw ValidationError("--env \(text): write NAME=VALUE")
        }
        for text in volume { _ = try Self.mount(text) }
    }

    func run() async throws {
        let request = CreateMachineRequest(
            name: name, region: region?.text, config: try machineConfig(), skipLaunch: skipLaunch ? true : nil)
        let planet = try Roostds.find(global)
        let advice = InterruptionAdvice(
            """
            No host has answered, and one may go on making the machine. See it: roost machines list \(app)
            Take it back: roost machines destroy --force \(app) \(name ?? "ID")
            """)
        let machine = try await interruptible(advice: advice.text) {
            try await Progress.show("creating a machine of \(app)") { progress in
                let machine = try await planet.ask { try await $0.createMachine(request, in: app) }
                advice.become(
                    """
                    Machine \(machine.id) is made\(skipLaunch ? "" : ", and \(machine.host) goes on starting it"). \
                    See it: roost machines show \(app) \(machine.id)
                    Take it back: roost machines destroy --force \(app) \(machine.id)
                    """)
                guard wait, !skipLaunch else { return machine }
                progress.say("starting machine \(machine.id) on \(machine.host)")
                try await MachineWaitCommand.wait(
                    for: .started, machine.id, of: app, on: planet, timeout: .seconds(60))
                return try await planet.machine(machine.id, of: app)
            }
        }
        try output.show(machine) { $0.facts.text }
    }

    private func machineConfig() throws -> MachineConfig {
        var built = try configFromFile() ?? MachineConfig(image: image ?? "")
        if let image { built.image = image }
        if let cpus { built.guest.cpus = cpus }
        if let cpuKind { built.guest.cpuKind = cpuKind }
        if let memory { built.guest.memoryMebibytes = memory }
        if let restart { built.restart.policy = restart }
        for text in env {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            built.environment[String(parts[0])] = String(parts[1])
        }
        for text in volume { built.mounts.append(try Self.mount(text)) }
        if !command.isEmpty { built.initial.exec = command }
        return built
    }

    private func configFromFile() throws -> MachineConfig? {
        guard let config else { return nil }
        let path = config == "-" ? "/dev/stdin" : config
        guard let bytes = try DurableFile.read(path, bytesMax: 1 << 20) else {
            throw UsageMistake("--config \(config): there is no such file")
        }
        do {
            let tree = try RoostJSON.decode(JSONTree.self, from: Data(bytes))
            if let field = JSONKeys.repeated(in: bytes) {
                throw UsageMistake("--config \(config): field '\(field)' is there twice")
            }
            let read = try RoostJSON.decode(MachineConfig.self, from: Data(bytes))
            let written = try RoostJSON.decode(JSONTree.self, from: JSONEncoder().encode(read))
            if let field = tree.firstMember(notIn: written) {
                throw UsageMistake("--config \(config): field '\(field)' is not supported")
            }
            return read
        } catch let error where !(error is UsageMistake) {
            throw UsageMistake("--config \(config) is not a machine config: \(JSONFault(error).text(of: "it"))")
        }
    }

    private static func mount(_ text: String) throws -> MachineMount {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[1].hasPrefix("/") else {
            throw ValidationError("--volume \(text): write the volume's id and an absolute path, vol_…:/data")
        }
        do {
            return MachineMount(volume: try VolumeID(parts[0]), path: parts[1])
        } catch {
            throw ValidationError("--volume \(text): \(error)")
        }
    }
}

extension OpenEnum {
    /// `no, always or on-failure`.
    static var choices: String {
        let all = known.map(\.rawValue)
        return all.count < 2 ? all.joined() : all.dropLast().joined(separator: ", ") + " or " + (all.last ?? "")
    }
}

extension OpenEnum {
    /// For shells.
    static var completion: CompletionKind { .list(known.map(\.rawValue)) }
}

/// One of the words that this version knows.
func choice<Choice: OpenEnum>(_ text: String) throws -> Choice {
    guard let choice = Choice(known: text) else {
        throw ValidationError("choose \(Choice.choices)")
    }
    return choice
}
