/// The lines in which a member says when it took each step of a failover, round by round.
struct StepLines {
    enum Kind: String {
        case failover = "steps of a failover"
        case restart = "steps of a restart"
    }

    /// A step and when it was taken in each round that has told of it, in milliseconds since the member heard the leader
    /// before for the last time, or saw its Postgres end.
    struct Step {
        var name: String
        var values: [Double]
    }

    private static let suffix = "_ms"
    /// As the lines were found: that of an earlier round is still in the log.
    private var seen: Set<Substring> = []
    private var values: [String: [Double]] = [:]

    /// Takes the latest line of this kind, unless it was taken before.
    ///
    /// - Parameter log: of one member after the other. Lines begin with their time.
    mutating func take(_ kind: Kind, in log: String) {
        let lines = log.split(separator: "\n").filter { $0.contains(" \(kind.rawValue) ") }
        guard let line = lines.max(), seen.insert(line).inserted else { return }
        for field in line.split(separator: " ") {
            let parts = field.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].hasSuffix(Self.suffix), let value = Double(parts[1]) else { continue }
            values[String(parts[0].dropLast(Self.suffix.count)), default: []].append(value)
        }
    }

    /// In the order in which they are taken.
    var steps: [Step] {
        values.map { Step(name: $0.key.replacing("_", with: " "), values: $0.value) }.sorted {
            (Statistics.median($0.values) ?? 0, $0.name) < (Statistics.median($1.values) ?? 0, $1.name)
        }
    }
}
