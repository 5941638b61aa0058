import ArgumentParser
import RoostLab
import RoostLinux
import RoostModel

struct LabBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure how long writes stand still when something breaks.",
        discussion: """
            On a lab of its own, which is removed afterwards. Every round kills the primary's Postgres, then the \
            primary's host. Exit status 1 if a confirmed row was lost.
            """)

    @Option(help: "Rounds of both faults.")
    var rounds = 10

    @Option(help: .init("Regions by airport code; the first is the primary's.", valueName: "codes"))
    var regions = "ams,iad,sin"

    @Option(help: .init("The lab's name.", valueName: "name"))
    var name = "bench"

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await inLab {
            let codes = regions.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let shape = try LabShape(name: name, regions: codes)
            try LabPrograms.requireRoot()
            let rounds = rounds
            let begin = BootClock.now()
            let advice = "Interrupted. The lab may still be there: roost lab down --name \(name)"
            let report = try await interruptible(advice: advice) {
                try await GapBench.run(shape, rounds: rounds) { step in
                    let time = Terminal.paint(Figure.seconds(BootClock.now() - begin), .faint, on: .error)
                    Terminal.say("\(time) \(step)")
                }
            }
            try output.show(report) { text($0) }
            guard report.rowsLost == 0 else {
                throw CommandFailure("\(report.rowsLost) confirmed rows were lost")
            }
        }
    }

    private func text(_ report: GapBench.Report) -> String {
        var table = Table("WHAT BREAKS", "ROUNDS", "MEDIAN GAP", "WORST GAP")
        for (what, gaps) in [
            ("the primary's Postgres", report.crashMilliseconds), ("the primary's host", report.hostLossMilliseconds),
        ] {
            table.add(
                Cell(what), .number(gaps.count), .number("\(GapBench.Report.median(gaps)) ms"),
                .number("\(gaps.max() ?? 0) ms"))
        }
        return "\(table.text())\n\n\(report.rowsConfirmed) rows confirmed, \(report.rowsLost) lost"
    }
}
