import ArgumentParser
import Glibc
import RoostSimulation
import RoostTrials
import Synchronization

struct LabSimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Try what decides failovers on simulated clusters, seed after seed.",
        discussion: """
            Clusters in virtual time: each seed is a cluster with its own mix of every kind of fault, checked at every \
            event. Needs no lab and no root, and takes all processors. Ctrl-C ends it early and says what was tried. \
            Exit status 1 if a rule was broken; --trace shows the course of the first such run, or of the seed if it \
            is one, after the result; with --json on standard error.
            """)

    private static let membersRange = 1...5
    private static let workersMax = 256

    @Option(help: "How many members the clusters have, 1 to 5.")
    var members = 3

    @Option(help: .init("The seeds, FIRST-LAST, or one.", valueName: "range"))
    var seeds = "1-1000"

    @Option(help: "So many at once (else as many as there are processors).")
    var workers: Int?

    @Flag(help: "Show the course of events.")
    var trace = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard Self.membersRange.contains(members) else { throw ValidationError("--members: from 1 to 5") }
        guard workers.map({ (1...Self.workersMax).contains($0) }) ?? true else {
            throw ValidationError("--workers: from 1 to \(Self.workersMax)")
        }
        _ = try range()
    }

    private func range() throws -> ClosedRange<UInt64> {
        let ends = seeds.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last else {
            throw ValidationError("--seeds: FIRST-LAST, such as 1-100000, or one number")
        }
        return first...last
    }

    func run() async throws {
        let trials = ClusterTrials(
            members: members, seeds: try range(), workers: workers ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let wish = EarlyEnd()
        let report = try await interruptible(
            advice: "Broken off. Nothing is left behind.",
            ending: {
                wish.ask()
                Terminal.say("Coming to an end. Ctrl-C again breaks it off.")
            }
        ) {
            try await Progress.show("simulating clusters of \(members)") { progress in
                await trials.run(hasToEnd: { wish.isAsked }) { state in
                    let found = state.violationCount == 0 ? "" : ", \(state.violationCount) broke a rule"
                    progress.say("simulating clusters of \(members) … \(state.runs) runs\(found)")
                }
            }
        }
        try output.show(report) { text($0) }
        if trace, let seed = report.violations.first?.seed ?? (report.runs == 1 ? report.firstSeed : nil) {
            let course = "\(ClusterSimulation(ClusterScenario(seed: seed, members: members), keepsTrace: true).run())"
            // Who reads the result as JSON reads one document.
            Terminal.put("\(course)\n", on: output.json ? .error : .output)
        }
        guard report.violationCount == 0 else {
            let seed = report.violations[0].seed
            throw CommandFailure(
                "\(report.violationCount) of \(report.runs) runs broke a rule",
                advice: "see one with: roost lab simulate --members \(members) --seeds \(seed) --trace")
        }
    }

    private func text(_ report: TrialsReport) -> String {
        let facts = """
            \(report.runs) clusters of \(report.members), seeds \(report.firstSeed) to \(report.lastSeed), in \
            \(Figure.decimal(report.seconds)) s: \(report.confirmed) commits confirmed, \(report.epochs) epochs, \
            \(report.changes) members came or went.
            Mended, clusters had a primary again in \(Figure.decimal(report.secondsToPrimaryMax)) s of their time at \
            most, and were whole in \(Figure.decimal(report.secondsToWholeMax)) s.
            """
        let found = report.violations.map { "seed \($0.seed), after \(Figure.decimal($0.atSeconds)) s: \($0.what)" }
        let verdict = found.isEmpty ? "No violation." : "\(report.violationCount) violations."
        return ([facts] + found + [Terminal.paint(verdict, found.isEmpty ? .good : .bad)]).joined(separator: "\n\n")
    }
}
