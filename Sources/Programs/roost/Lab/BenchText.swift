import RoostBench
import RoostLab

/// A report of a bench for people.
struct BenchText {
    let report: BenchReport

    init(_ report: BenchReport) { self.report = report }

    var text: String {
        var table = Table("PART", "WHAT", "ROUNDS", "ROOST", "AGAINST", "REACHES", "RATIO", "GOAL", "")
        for row in report.results {
            table.add(
                Cell(row.part.rawValue), Cell(row.title), .number(row.values.count),
                .number(Self.figure(row.figure, row.unit)), Cell(row.peer ?? ""),
                .number(row.peerFigure.map { Self.figure($0, row.unit) } ?? ""),
                .number(row.ratio.map { Figure.decimal($0, 2) } ?? ""), .number(Self.goal(row)), Self.verdict(row))
        }
        var parts = [table.text()]
        if let rows = report.rows {
            let words = "\(rows.confirmed) rows confirmed while hosts were lost, \(rows.lost) of them lost"
            parts.append(Terminal.paint(words, rows.lost == 0 ? .good : .bad))
        }
        for failure in report.failures {
            parts.append(Terminal.paint("\(failure.part.rawValue) failed: \(failure.why)", .bad))
        }
        parts.append("On \(report.computer.processors) processors, Linux \(report.computer.kernel).")
        return parts.joined(separator: "\n\n")
    }

    private static func figure(_ value: Double, _ unit: BenchRow.Unit) -> String {
        switch unit {
        case .milliseconds: "\(Figure.decimal(value, value < 1000 ? 1 : 0)) ms"
        case .perSecond: "\(Figure.decimal(value, 0)) /s"
        case .percent: "\(Figure.decimal(value, 2)) %"
        case .mebibytes: "\(Figure.decimal(value, 0)) MiB"
        case .count: Figure.decimal(value, 0)
        case .bytes: "\(Figure.decimal(value, 0)) B"
        }
    }

    private static func goal(_ row: BenchRow) -> String {
        guard let goal = row.goal else { return "" }
        let sign =
            switch goal.bound {
            case .atMost: "≤"
            case .atLeast: "≥"
            }
        return switch goal.subject {
        case .ratio: "\(sign) \(Figure.decimal(goal.value, 2))"
        case .figure: "\(sign) \(Self.figure(goal.value, row.unit))"
        }
    }

    private static func verdict(_ row: BenchRow) -> Cell {
        switch row.isMet {
        case nil: ""
        case true?: Cell("met", .good)
        case false?: Cell("missed", .warning)
        }
    }
}
