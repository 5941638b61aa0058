import ArgumentParser
import RoostBench
import RoostLab
import RoostLinux
import RoostModel

struct LabBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure Roost against others, and how long writes stand still.",
        discussion: """
            On labs of its own, which are removed afterwards. Roost and its peer take turns in every round; a ratio is \
            the median of the rounds' ratios. Exit status 1 if a part failed or a confirmed row was lost; a goal that \
            is missed is no failure.
            """)

    @Argument(help: .init("What to measure; all of it by default.", valueName: "part"))
    var parts: [BenchPart] = []

    @Option(help: "Rounds of every part; by default each has its own number.")
    var rounds: Int?

    @Option(help: .init("Regions by airport code; the first is the primary's.", valueName: "codes"))
    var regions = "ams,iad,sin"

    @Option(name: [.long, .customLong("lab")], help: .init("The lab's name.", valueName: "name"))
    var name = "bench"

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await inLab {
            let codes = regions.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let shape = try LabShape(name: name, regions: codes)
            try LabPrograms.requireRoot()
            let begin = BootClock.now()
            let bench = try Bench(shape, parts: parts.isEmpty ? BenchPart.allCases : parts, rounds: rounds) { step in
                let time = Terminal.paint(Figure.seconds(BootClock.now() - begin), .faint, on: .error)
                Terminal.say("\(time) \(step)")
            }
            let advice = "Interrupted. Should the lab still be there: roost lab down --name \(name)"
            let report = try await interruptible(advice: advice) { try await bench.run() }
            try output.show(report) { BenchText($0).text }
            if let failure = report.failures.first {
                throw CommandFailure("\(failure.part.rawValue) could not be measured: \(failure.why)")
            }
            if let lost = report.rows?.lost, lost > 0 { throw CommandFailure("\(lost) confirmed rows were lost") }
        }
    }
}

extension BenchPart: ExpressibleByArgument {}
