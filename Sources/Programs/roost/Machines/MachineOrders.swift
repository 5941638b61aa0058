import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct MachineStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start a machine. One that runs is left alone.")

    @OptionGroup var argument: MachineArgument
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice = argument.advice("starting it", undo: "stop")
        try await interruptible(advice: advice) {
            try await Progress.show("starting machine \(argument.machine)") { _ in
                let id = try await argument.id(on: planet)
                try await planet.ask { try await $0.startMachine(id, of: argument.app) }
                try await MachineWaitCommand.wait(
                    for: .started, id, of: argument.app, on: planet, timeout: .seconds(60))
            }
        }
        Terminal.result("Machine \(argument.machine) is started.")
    }
}

struct MachineStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop a machine: its stop signal, and SIGKILL when the time is up.")

    @OptionGroup var argument: MachineArgument
    @OptionGroup var order: StopOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice = argument.advice("stopping it", undo: "start")
        let state = try await interruptible(advice: advice) {
            try await Progress.show("stopping machine \(argument.machine)") { _ in
                let id = try await argument.id(on: planet)
                try await planet.ask { client in
                    try await client.stopMachine(
                        id, of: argument.app, with: .init(signal: order.signal, timeout: order.timeout))
                }
                let limit = (order.timeout?.duration ?? StopConfig.timeoutMax) + .seconds(30)
                return try await MachineWaitCommand.wait(
                    for: MachineState.withoutProcess, id, of: argument.app, on: planet, timeout: limit)
            }
        }
        Terminal.result(
            state == .stopped
                ? "Machine \(argument.machine) is stopped."
                : "Machine \(argument.machine) does not run: it is \(state.rawValue).")
    }
}

struct MachineRestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restart", abstract: "Stop a machine and start it.")

    @OptionGroup var argument: MachineArgument
    @OptionGroup var order: StopOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let advice = argument.advice("restarting it", undo: "stop")
        try await interruptible(advice: advice) {
            try await Progress.show("restarting machine \(argument.machine)") { _ in
                let id = try await argument.id(on: planet)
                try await planet.ask { client in
                    try await client.restartMachine(
                        id, of: argument.app, signal: order.signal, timeout: order.timeout)
                }
                let limit = (order.timeout?.duration ?? StopConfig.timeoutMax) + .seconds(60)
                try await MachineWaitCommand.wait(
                    for: .started, id, of: argument.app, on: planet, timeout: limit)
            }
        }
        Terminal.result("Machine \(argument.machine) is started again.")
    }
}

/// How a machine is asked to stop, if not as its config says.
struct StopOptions: ParsableArguments {
    @Option(help: "The signal to send, for example SIGTERM (else the one of its config).")
    var signal: String?

    @Option(
        help: "How long it may take before SIGKILL, for example 10s (else as the machine's config says).",
        transform: { try timeLimit($0) })
    var timeout: DurationText?

    mutating func validate() throws {
        if let timeout, timeout.duration > StopConfig.timeoutMax {
            throw ValidationError("--timeout is at most \(DurationText(StopConfig.timeoutMax))")
        }
    }
}

struct MachineDestroyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "destroy", abstract: "Destroy a stopped machine. Its volumes stay.")

    @OptionGroup var argument: MachineArgument

    @Flag(help: "Also if it runs.")
    var force = false

    @Flag(help: "Also what is left over of a Postgres cluster and may have all that it has confirmed.")
    var lastCopy = false

    @Flag(help: "It is no failure if there is no such machine.")
    var ifExists = false

    @Flag(name: .customLong("no-wait"), help: "Do not wait until it is gone.")
    var skipsWait = false

    @Option(help: "How long to wait at most, for example 30s (else 60 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try confirmation.confirm("Destroy machine \(argument.machine) of \(argument.app)?")
        let planet = try Roostds.find(global)
        try await ignoringMissing(ifExists) {
            let advice = argument.advice("destroying it", undo: nil)
            try await interruptible(advice: advice) {
                try await Progress.show("destroying machine \(argument.machine)") { _ in
                    let id = try await argument.idOfPresent(on: planet)
                    try await planet.ask { client in
                        try await client.destroyMachine(
                            id, of: argument.app, force: force, evenLastCopy: lastCopy)
                    }
                    if !skipsWait { try await wait(until: id, isGoneFrom: planet) }
                }
            }
            Terminal.result("Machine \(argument.machine) is \(skipsWait ? "being destroyed" : "destroyed").")
        }
    }
}

extension MachineDestroyCommand {
    /// The order was taken; its volumes are free only when it has been carried out. A machine that is not known any
    /// more is gone.
    private func wait(until id: MachineID, isGoneFrom planet: Roostds) async throws {
        do {
            try await MachineWaitCommand.wait(
                for: .destroyed, id, of: argument.app, on: planet, timeout: timeout.duration)
        } catch let error as APIError where error.isNotFound {
            return
        }
    }
}

struct MachineWaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until a machine is in a state.")

    @OptionGroup var argument: MachineArgument

    @Option(
        help: .init("One of \(MachineState.choices) (else \(MachineState.started.rawValue)).", valueName: "state"),
        completion: MachineState.completion, transform: { try choice($0) })
    var state = MachineState.started

    @Option(help: "How long at most, for example 30s (else 60 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        try await Progress.show("waiting for machine \(argument.machine) to be \(state.rawValue)") { _ in
            try await Self.wait(
                for: state, try await argument.id(on: planet), of: argument.app, on: planet, timeout: timeout.duration)
        }
        Terminal.result("Machine \(argument.machine) is \(state.rawValue).")
    }

    /// The longest wait that the API takes on in one call.
    private static let callTimeoutMax = Duration.seconds(60)

    static func wait(
        for state: MachineState, _ machine: MachineID, of app: AppName, on planet: Roostds, timeout: Duration
    ) async throws {
        _ = try await wait(for: [state], machine, of: app, on: planet, timeout: timeout)
    }

    /// As many calls as the time allows.
    ///
    /// - Returns: which of the states came.
    static func wait(
        for states: [MachineState], _ machine: MachineID, of app: AppName, on planet: Roostds, timeout: Duration
    ) async throws -> MachineState {
        let end = ContinuousClock.now + timeout
        while true {
            let left = min(end - .now, callTimeoutMax)
            do {
                return try await planet.ask { client in
                    try await client.waitForMachine(machine, of: app, states: states, timeout: left).state
                }
            } catch let error as APIError where error.status == 408 {
                guard end - .now >= .seconds(1) else {
                    throw CommandFailure(
                        "machine \(machine) is not \(states.map(\.rawValue).joined(separator: " or ")) after "
                            + Figure.seconds(timeout),
                        advice:
                            "See why: roost machines events \(app) \(machine); roost machines logs \(app) \(machine)"
                    )
                }
            }
        }
    }
}

struct MachineExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in a machine.",
        discussion: """
            Prints what it printed. The exit status is the command's own, or 128 and the number of the signal that ended \
            it, as a shell has it. A command that takes longer than its time is ended, and the status is 124.
            """)

    @OptionGroup var argument: MachineArgument

    @OptionGroup var limit: CommandTimeOptions

    @Flag(help: "Pass on standard input (at most 1 MiB).")
    var stdin = false

    @Argument(parsing: .postTerminator, help: "The command, after --.")
    var command: [String] = []

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if command.isEmpty {
            throw ValidationError("write the command after --, for example: roost machines exec APP ID -- ls /")
        }
    }

    func run() async throws {
        let input = stdin ? String(decoding: try StandardInput.readAll(), as: UTF8.self) : nil
        let request = ExecBody(command: command, stdin: input, timeout: limit.seconds)
        let planet = try Roostds.find(global)
        // No progress line: standard error is the command's own.
        let advice = "Its host ends the command and all that it has begun, and nothing of its output is kept."
        do {
            let answer = try await interruptible(advice: advice) {
                let id = try await argument.id(on: planet)
                return try await planet.ask { try await $0.exec(request, on: id, of: argument.app) }
            }
            try answer.passOn(by: output)
        } catch let error as APIError where error.status == 408 {
            throw CommandFailure(
                "the command did not end within \(limit.seconds) s",
                advice: "It and all that it has begun is ended. Give it longer: --timeout, at most 120s",
                status: ExitStatus.timedOut)
        }
    }
}

extension ExecResponse {
    /// Prints what the command printed, and ends as it has ended.
    func passOn(by output: OutputOptions) throws {
        if output.json {
            try output.show(self) { _ in "" }
        } else {
            Terminal.putForeign(stdout, on: .output)
            Terminal.putForeign(stderr, on: .error)
        }
        for (name, isCut) in [("output", isOutputCut), ("error output", isErrorCut)] where isCut == true {
            Terminal.say("roost: the \(name) was longer than an answer carries, and is cut")
        }
        if exitSignal != 0 {
            Terminal.say("The command was ended by signal \(exitSignal).")
            throw ExitCode(128 + Int32(exitSignal))
        }
        if exitCode != 0 { throw ExitCode(Int32(exitCode)) }
    }
}
