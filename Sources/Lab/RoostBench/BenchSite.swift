import RoostLab
import RoostLinux
import RoostModel

/// A host or a client of the lab, as the place where something is run and measured.
struct BenchSite: Sendable {
    let planet: LabPlanet
    let name: String

    init(_ planet: LabPlanet, _ name: String) {
        self.planet = planet
        self.name = name
    }

    /// A folder on this computer's disk that goes when the lab goes; every site of the lab sees it under this path.
    var folder: String { planet.paths.stateFolder + "/bench/" + name }

    /// - Returns: what it printed.
    /// - Throws: ``LabError`` with what it said when its status is not zero.
    @discardableResult
    func run(
        _ command: [String], environment: [String: String] = [:], input: String = "",
        deadline: Duration = Command.deadlineDefault
    ) async throws -> String {
        let output = try await planet.run(
            in: name, command, environment: environment, input: input, deadline: deadline)
        guard output.status == 0 else {
            let said = (output.standardError + output.standardOutput).suffix(600)
            throw LabError(
                .failed, "'\(command.joined(separator: " "))' in \(name) failed with status \(output.status): \(said)")
        }
        return output.standardOutput
    }

    /// How long a program takes that puts something into the background. The clock is read inside the site, right
    /// before and right after, so that entering the site costs nothing.
    func time(_ command: [String], environment: [String: String] = [:], deadline: Duration) async throws -> Double {
        let words = folder + "/words"
        // What stays in the background must not hold the pipe this is read from.
        let script = """
            begin=$EPOCHREALTIME
            "$@" >"$WORDS" 2>&1 </dev/null || { status=$?; cat "$WORDS" >&2; exit $status; }
            echo "$begin $EPOCHREALTIME"
            """
        let output = try await run(
            ["bash", "-c", script, "bash"] + command,
            environment: environment.merging(["LC_ALL": "C", "WORDS": words]) { $1 }, deadline: deadline)
        guard let milliseconds = Self.milliseconds(between: output) else {
            throw LabError(.failed, "'\(command.joined(separator: " "))' printed no times: \(output)")
        }
        return milliseconds
    }

    /// Of two times in seconds with six digits behind the point.
    static func milliseconds(between text: String) -> Double? {
        let times = text.split(whereSeparator: \.isWhitespace).compactMap { word -> Int64? in
            let parts = word.split(separator: ".")
            guard parts.count == 2, parts[1].utf8.count == 6, let seconds = Int64(parts[0]),
                let microseconds = Int64(parts[1])
            else { return nil }
            return seconds * 1_000_000 + microseconds
        }
        guard times.count == 2, times[1] >= times[0] else { return nil }
        return Double(times[1] - times[0]) / 1000
    }
}
