import ArgumentParser
import FoundationEssentials
import Glibc
import RoostLinux
import RoostModel
import RoostPostgres

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say which confirmed rows the database lacks; exit status 1 if it lacks any.")

    @Option(help: "A postgres:// URL.")
    var url: String

    @Option(help: "Confirmed rows: a number, or a line of 'writer --json', on each line. '-': standard input.")
    var rows: String

    @Option(help: "The table that was written to.")
    var table = RowWriter.tableDefault

    @Flag(help: "Print a JSON object.")
    var json = false

    private static let missingShownMax = 20
    private static let attemptsMax = 30

    func run() async throws {
        let confirmed = try read()
        let writer = try RowWriter(url: url, table: table)
        let missing: [Int64]
        do { missing = try await self.missing(of: confirmed, writer) } catch {
            await writer.close()
            throw error
        }
        await writer.close()
        if json {
            Output.line(Output.json(VerifyLine(confirmed: confirmed.count, missing: missing)))
        } else {
            let shown = missing.prefix(Self.missingShownMax).map(String.init).joined(separator: ", ")
            Output.line(
                "\(confirmed.count) rows confirmed, \(missing.count) missing" + (shown.isEmpty ? "" : ": \(shown)"))
        }
        guard missing.isEmpty else { throw ExitCode(1) }
    }

    /// A cluster in the middle of a failover answers a little later.
    private func missing(of rows: [Int64], _ writer: RowWriter) async throws -> [Int64] {
        var last: (any Error)?
        for _ in 0..<Self.attemptsMax {
            do { return try await writer.missing(of: rows) } catch {
                last = error
                try await Task.sleep(for: .seconds(1))
            }
        }
        throw last ?? ExitCode(1)
    }

    private func read() throws -> [Int64] {
        let path = rows == "-" ? "/dev/stdin" : rows
        guard let bytes = try DurableFile.read(path, bytesMax: 1 << 30) else {
            throw ValidationError("--rows: there is no file \(rows)")
        }
        var numbers: [Int64] = []
        for line in bytes.split(separator: 10) {
            if let number = Int64(String(decoding: line, as: UTF8.self)) {
                numbers.append(number)
            } else if let parsed = try? JSONDecoder().decode(RowLine.self, from: Data(line)) {
                if let row = parsed.row { numbers.append(row) }
            } else {
                throw ValidationError("--rows: not a row: \(String(decoding: line.prefix(80), as: UTF8.self))")
            }
        }
        return numbers
    }
}

private struct RowLine: Decodable {
    var row: Int64?
}

private struct VerifyLine: Encodable {
    var confirmed: Int
    var missing: [Int64]
}
