import ArgumentParser
import RoostCheck
import RoostDemo
import RoostHistory
import RoostLab
import RoostLinux
import RoostModel

struct LabCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Break a planet by chance while clients write and read, and judge what they saw.",
        discussion: """
            Uses the lab of that name; one that is made for it is removed again, unless something was wrong. What is \
            broken follows from the seed. Ctrl-C ends it early and judges what there is. Exit status 1 if something \
            was lost, or read that cannot be.
            """)

    @Option(help: "For how long, in minutes; 0.5 is half of one.")
    var minutes = 10.0

    @Option(help: "What is broken when follows from it.")
    var seed: UInt64 = 1

    @Option(help: .init("Regions by airport code, of a lab that has to be made.", valueName: "codes"))
    var regions = "ams,iad,sin"

    @Option(name: [.long, .customLong("lab")], help: .init("The lab's name.", valueName: "name"))
    var name = "check"

    @Option(help: .init("Where the history is kept (else /tmp/roost-check-NAME-SEED.ndjson).", valueName: "file"))
    var history: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        let range = HistoryCheck.durationMin.secondsAsDouble / 60...HistoryCheck.durationMax.secondsAsDouble / 60
        guard range.contains(minutes) else { throw ValidationError("--minutes: from 0.34 to 360") }
    }

    func run() async throws {
        try await inLab {
            let codes = regions.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let shape = try LabShape(name: name, regions: codes)
            try LabPrograms.requireRoot()
            let wish = EarlyEnd()
            let advice =
                "Interrupted. See what is broken with 'roost lab fault list --name \(name)', or: roost lab down --name \(name)"
            let report = try await interruptible(
                advice: advice,
                ending: {
                    wish.ask()
                    Terminal.say("Coming to an end: mending, reading, judging. Ctrl-C again breaks it off.")
                }
            ) { try await check(shape) { wish.isAsked } }
            try output.show(report) { text($0) }
            guard report.violationCount == 0 else {
                throw CommandFailure(
                    "\(report.violationCount) violations with seed \(seed)",
                    advice: "the history is in \(report.historyFile), and the lab '\(name)' is still up")
            }
        }
    }

    private func check(_ shape: LabShape, hasToEnd: @escaping @Sendable () -> Bool) async throws -> CheckReport {
        let begin = BootClock.now()
        let progress: LabPlanet.Progress = { step in
            let time = Terminal.paint(Figure.seconds(BootClock.now() - begin), .faint, on: .error)
            Terminal.say("\(time) \(step)")
        }
        let isThere = try LabPlanet.exists(shape.name)
        let planet = isThere ? try LabPlanet.named(shape.name) : try await LabPlanet.up(shape, progress: progress)
        let demo = Demo(planet: planet, cluster: try AppName("check"), progress: progress)
        let report = try await HistoryCheck(
            demo, seed: seed, duration: .milliseconds(Int64(minutes * 60_000)),
            historyFile: history ?? "/tmp/roost-check-\(shape.name)-\(seed).ndjson", hasToEnd: hasToEnd
        ).run()
        if !isThere, report.violationCount == 0 {
            progress("removing the lab")
            try await planet.down()
        }
        return report
    }

    private func text(_ report: CheckReport) -> String {
        var faults = Table("AFTER", "FAULT", "ON", "LASTED", "TROUBLE")
        for fault in report.faults {
            faults.add(
                .number(Figure.decimal(Double(fault.atMilliseconds) / 1000) + " s"), Cell(fault.what),
                Cell(fault.host ?? "-"), .number(Figure.decimal(Double(fault.lengthMilliseconds) / 1000) + " s"),
                Cell(fault.trouble ?? "-"))
        }
        let counts = report.counts
        let violations = report.violations.map { ([$0.what] + $0.history).joined(separator: "\n") }
        let verdict =
            report.violationCount == 0 ? "No violation." : "\(report.violationCount) violations."
        let numbers = """
            \(Figure.decimal(report.seconds)) s\(report.wasEnded ? ", ended early" : ""), seed \(report.seed): \
            \(counts.confirmed) writes confirmed, \(counts.unknown) unknown, \(counts.failed) refused; \
            \(counts.reads) reads, \(counts.replicaReads) of them from replicas.
            Replicas were behind by \(report.replicaLagMilliseconds) ms at most, replaced primaries by \
            \(report.displacedLagMilliseconds) ms.
            History: \(report.historyFile)
            """
        let parts = (report.faults.isEmpty ? [] : [faults.text()]) + [numbers] + violations
        return (parts + [Terminal.paint(verdict, report.violationCount == 0 ? .good : .bad)]).joined(separator: "\n\n")
    }
}
