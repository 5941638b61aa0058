import ArgumentParser
import RoostHistory
import RoostLinux
import RoostModel
import RoostPostgres

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Append, insert and read, and print each as an entry of a history, until stopped.",
        discussion: "For 'roost lab check', which judges it. One JSON object a line; the last of each number counts.")

    @Option(help: "A postgres:// URL that leads to the primary.")
    var url: String

    @Option(help: "A postgres:// URL that leads to the replicas.")
    var readURL: String?

    @Option(help: "What the workers' names begin with: no two programs have the same.")
    var name: String

    @Option(help: "What the names of the two tables begin with: lower-case letters, digits and '_'.")
    var tables: String

    @Option(help: "Workers at the primary.")
    var writers = 3

    @Option(help: "Workers at the replicas.")
    var readers = 2

    @Option(help: "Milliseconds between two things that a worker does.")
    var interval = 10

    @Option(help: "Microseconds since boot: where the counting of lists and sets begins.")
    var origin: Int64 = 0

    @Option(help: "What the workers do follows from it.")
    var seed: UInt64 = 1

    @Option(help: "The first program is 0: its workers' elements are its own.")
    var place = 0

    @Flag(help: "Make the tables, and end.")
    var create = false

    @Flag(help: "Print all that is there, and end.")
    var final = false

    private static let workersMax = 64
    private static let placesMax = 1000
    /// What a worker writes: more than it ever can.
    private static let elementsEach: Int64 = 1_000_000_000
    private static let attemptsMax = 60

    func validate() throws {
        guard (0...Self.workersMax).contains(writers), (0...Self.workersMax).contains(readers) else {
            throw ValidationError("--writers, --readers: 0 to \(Self.workersMax)")
        }
        guard (0...3_600_000).contains(interval) else { throw ValidationError("--interval: 0 to 3600000") }
        guard (0..<Self.placesMax).contains(place) else { throw ValidationError("--place: 0 to \(Self.placesMax - 1)") }
        let letters = Set("abcdefghijklmnopqrstuvwxyz0123456789_")
        guard !tables.isEmpty, tables.utf8.count <= 40, tables.first?.isLetter == true,
            tables.allSatisfy(letters.contains)
        else { throw ValidationError("--tables: 1 to 40 lower-case letters, digits and '_', a letter first") }
        guard readURL != nil || readers == 0 || create || final else {
            throw ValidationError("--readers need a --read-url")
        }
    }

    func run() async throws {
        if create || final { return try await once() }
        var workers: [(HistoryWorker, Int64)] = []
        for number in 0..<(writers + readers) {
            let isReader = number >= writers
            let worker = try HistoryWorker(
                name: "\(name)-\(number)", url: isReader ? readURL ?? url : url,
                port: isReader ? HistoryPort.replica : HistoryPort.primary, tables: tables)
            workers.append((worker, Int64(place * 2 * Self.workersMax + number + 1) * Self.elementsEach))
        }
        StopSignals.install()
        let keys = HistoryWorker.Keys(origin: origin)
        let (interval, seed) = (Duration.milliseconds(interval), seed)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (worker, elements) in workers {
                group.addTask {
                    try await worker.run(
                        keys: keys, elements: elements, interval: interval, seed: seed &+ UInt64(elements)
                    ) { Output.line(Output.json($0)) }
                }
            }
            group.addTask {
                await StopSignals.wait()
                MemberProgram.leave(0)
            }
            try await group.next()
        }
    }

    /// A cluster in the middle of a failover answers a little later.
    private func once() async throws {
        let worker = try HistoryWorker(name: name, url: url, port: HistoryPort.primary, tables: tables)
        var attempts = 0
        while true {
            do {
                if create { try await worker.makeTables() }
                if final { for entry in try await worker.readAll() { Output.line(Output.json(entry)) } }
                await worker.close()
                return
            } catch {
                attempts += 1
                guard attempts < Self.attemptsMax else {
                    await worker.close()
                    throw error
                }
                await worker.close()
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
