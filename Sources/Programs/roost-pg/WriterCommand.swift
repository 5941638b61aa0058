import ArgumentParser
import FoundationEssentials
import RoostLinux
import RoostModel
import RoostPostgres

struct WriterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "writer",
        abstract: "Write numbered rows one at a time and say which were confirmed, until stopped.")

    @Option(help: "A postgres:// URL.")
    var url: String

    @Option(help: "Milliseconds between two rows.")
    var interval = 10

    @Option(help: "Seconds to write for; without it, until SIGTERM or SIGINT.")
    var duration: Double?

    @Option(help: "Seconds to wait for a connection, and for an answer, before trying again.")
    var timeout = 5.0

    @Option(help: "The table to write to; made if it is missing.")
    var table = RowWriter.tableDefault

    @Flag(help: "Print one JSON object a line.")
    var json = false

    func validate() throws {
        guard interval >= 0, interval <= 3_600_000 else { throw ValidationError("--interval: 0 to 3600000") }
        guard timeout > 0, timeout <= 3600 else { throw ValidationError("--timeout: more than 0, at most 3600") }
        guard duration.map({ $0 > 0 }) ?? true else { throw ValidationError("--duration: more than 0") }
    }

    func run() async throws {
        let writer = try RowWriter(url: url, table: table, deadline: .milliseconds(Int64(timeout * 1000)))
        StopSignals.install()
        let json = json
        let interval = Duration.milliseconds(interval)
        let duration = duration.map { Duration.milliseconds(Int64($0 * 1000)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await writer.run(interval: interval, duration: duration) { confirmation in
                    Output.line(json ? Output.json(ConfirmationLine(confirmation)) : "row \(confirmation.row)")
                } failed: { failure in
                    Output.line(json ? Output.json(FailureLine(failure)) : "error: \(failure.message)")
                }
            }
            group.addTask {
                await StopSignals.wait()
                // An answer may be long in coming: nothing of it is wanted any more.
                Self.summarise(writer, json)
                MemberProgram.leave(0)
            }
            try await group.next()
            await writer.close()
            Self.summarise(writer, json)
            MemberProgram.leave(0)
        }
    }

    private static func summarise(_ writer: RowWriter, _ json: Bool) {
        let summary = writer.summary
        let gap = summary.gapMax.milliseconds
        Output.line(
            json
                ? Output.json(
                    SummaryLine(confirmed: summary.confirmed, errors: summary.failures, maxGapMilliseconds: gap))
                : "\(summary.confirmed) rows confirmed, \(summary.failures) errors, longest gap \(gap) ms")
    }
}

private struct ConfirmationLine: Encodable {
    var row: Int64
    var sent: Int64
    var confirmed: Int64
    var backend: String

    enum CodingKeys: String, CodingKey {
        case row, backend
        case sent = "sent_ms"
        case confirmed = "confirmed_ms"
    }

    init(_ confirmation: RowWriter.Confirmation) {
        row = confirmation.row
        sent = confirmation.sent
        confirmed = confirmation.confirmed
        backend = confirmation.backend
    }
}

private struct FailureLine: Encodable {
    var error: String
    var moment: Int64
    /// Nobody knows whether the row is there.
    var isUnknown: Bool

    enum CodingKeys: String, CodingKey {
        case error
        case moment = "at_ms"
        case isUnknown = "unknown"
    }

    init(_ failure: RowWriter.Failure) {
        error = failure.message
        moment = failure.at
        isUnknown = !failure.isKnown
    }
}

private struct SummaryLine: Encodable {
    var confirmed: Int
    var errors: Int
    var maxGapMilliseconds: Int64

    enum CodingKeys: String, CodingKey {
        case confirmed, errors
        case maxGapMilliseconds = "max_gap_ms"
    }
}
