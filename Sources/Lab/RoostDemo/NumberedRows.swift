import FoundationEssentials
public import RoostLab
import RoostLinux

/// Rows that a client of the lab writes one at a time, and the file in which it says which were confirmed.
public struct NumberedRows: Sendable {
    public let planet: LabPlanet
    public let client: String
    public let file: String

    static let writeMax = Duration.seconds(4 * 3600)
    private static let verifyMax = Duration.seconds(120)

    /// - Parameters:
    ///   - client: who writes, by its name in the lab.
    ///   - file: with what it said before, or nothing; made anew by ``write(_:)``.
    public init(_ planet: LabPlanet, client: String, file: String) {
        self.planet = planet
        self.client = client
        self.file = file
    }

    /// Writes until it is cancelled.
    public func write(_ url: String) async throws {
        let line = try planet.commandLine(
            in: client, [planet.programFolder + "/roost-pg", "writer", "--json", "--url", url])
        try await Command(
            "sh", ["-c", "exec \"$@\" >\"$ROWS\"", "sh"] + line, environment: ["ROWS": file], deadline: Self.writeMax
        ).run()
    }

    public func log() throws -> WriteLog {
        var log = WriteLog()
        log.append(try DurableFile.read(file, bytesMax: 1 << 30) ?? [])
        return log
    }

    /// Looks for every row that was confirmed.
    ///
    /// - Parameter rows: so many have been confirmed at least.
    public func verify(_ rows: Int, _ url: String) async throws -> (confirmed: Int, lost: Int) {
        struct Verdict: Decodable {
            var confirmed: Int
            var missing: [Int64]
        }
        let output = try await planet.run(
            in: client, [planet.programFolder + "/roost-pg", "verify", "--json", "--url", url, "--rows", file],
            deadline: Self.verifyMax)
        guard let verdict = try? JSONDecoder().decode(Verdict.self, from: Data(output.standardOutput.utf8)) else {
            throw LabError(.failed, "the rows could not be counted: \(output.standardError)")
        }
        guard verdict.confirmed >= rows else {
            throw LabError(.failed, "\(rows) rows were confirmed, but only \(verdict.confirmed) were looked for")
        }
        return (verdict.confirmed, verdict.missing.count)
    }
}
