import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct OperationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operations", abstract: "Operations: work that goes on after the command that began it.",
        subcommands: [List.self, Show.self, Wait.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List operations, the newest first.")

        @Option(help: .init("Only those on this cluster.", valueName: "name"), transform: { try AppName($0) })
        var object: AppName?

        @Flag(help: "Only those that have not ended.")
        var running = false

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let operations = try await Roostds.find(global).ask {
                try await $0.operations(on: object, state: running ? .running : nil)
            }
            try output.showList(operations, nothing: "There is no operation.") { operations in
                var table = Table("OPERATION", "KIND", "OBJECT", "STATE", "STARTED", "ENDED", "DETAIL")
                for operation in operations {
                    table.add(
                        Cell(operation.id.text), Cell(operation.kind.rawValue), Cell(operation.object.text),
                        Cell(operation.state.rawValue, operation.style), Cell(operation.startedAt),
                        Cell(operation.endedAt ?? "-"), Cell(operation.words))
                }
                return table
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show an operation and what was done.")

        @Argument(help: "The operation's id.", transform: { try PlanetOperationID($0) })
        var operation: PlanetOperationID

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let body = try await Roostds.find(global).operation(operation)
            try output.show(body) { $0.report }
        }
    }

    struct Wait: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Wait until an operation has ended; it is a failure when it has failed.")

        @Argument(help: "The operation's id.", transform: { try PlanetOperationID($0) })
        var operation: PlanetOperationID

        @Option(help: "How long to wait at most, for example 5m (else 300 s).", transform: { try timeLimit($0) })
        var timeout = DurationText(.seconds(300))

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        /// What one call waits at most.
        static let callMax = Duration.seconds(30)

        func run() async throws {
            let planet = try Roostds.find(global)
            let end = ContinuousClock.now + timeout.duration
            let advice = "It goes on by itself. See it: roost operations show \(operation)"
            let ended = try await interruptible(advice: advice) {
                try await Progress.show("waiting for \(operation)") { _ in
                    while true {
                        let left = max(end - .now, .zero)
                        let ended = try await planet.ask {
                            try await $0.wait(for: operation, timeout: min(left, Self.callMax))
                        }
                        if let ended { return ended }
                        guard ContinuousClock.now < end else {
                            throw CommandFailure(
                                "operation \(operation) is still running after \(timeout)", advice: advice)
                        }
                    }
                }
            }
            try output.show(ended) { $0.report }
            if ended.state != .succeeded { throw CommandFailure("operation \(operation) \(ended.state.rawValue)") }
        }
    }
}

extension OperationBody {
    fileprivate var style: Terminal.Style {
        switch state {
        case .succeeded: .good
        case .failed: .bad
        case .running, .unknown: .plain
        }
    }

    /// What there is to say: what came of it, or what is in the way, or what was done last.
    fileprivate var words: String { result ?? obstacle ?? steps.last?.name ?? "" }

    fileprivate var report: String {
        var facts = [
            ("operation", id.text), ("kind", kind.rawValue), ("object", object.text),
            ("state", Terminal.paint(state.rawValue, style)), ("started", startedAt),
        ]
        if let endedAt { facts.append(("ended", endedAt)) }
        if let obstacle { facts.append(("in the way", obstacle)) }
        if let result { facts.append(("result", result)) }
        if let requestID { facts.append(("request", requestID)) }
        for step in steps { facts.append((step.at, step.name)) }
        return Facts(facts).text
    }
}
