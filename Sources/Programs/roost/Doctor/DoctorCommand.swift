import ArgumentParser

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Try what this computer offers, and say what Roost uses instead of what is missing.",
        discussion: """
            Nothing is changed: what has to be tried is tried in namespaces that go away with the trial. The exit \
            status is 1 if something needed is missing.
            """)

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let diagnosis = Diagnosis(
            try await Progress.show("trying what this computer offers") { _ in
                var answers: [Probe: Probe.Answer] = [:]
                for probe in Probe.allCases { answers[probe] = await probe.ask() }
                return answers
            })
        try output.show(diagnosis) { $0.report }
        if !diagnosis.ready { throw ExitCode(ExitStatus.failed) }
    }
}

extension Diagnosis {
    fileprivate var report: String {
        var table = Table("", "WHAT", "FOR", "FOUND", "INSTEAD")
        for finding in findings {
            table.add(
                Cell(finding.status.rawValue, finding.status.style), Cell(finding.name), Cell(finding.purpose),
                Cell(finding.found), Cell(finding.uses ?? ""))
        }
        var text = table.text() + "\n\n"
        let missing = findings.filter { $0.status == .missing }.map(\.name)
        text +=
            ready
            ? Terminal.paint("This computer can run Roost.", .good)
            : Terminal.paint("Missing: \(missing.joined(separator: ", ")).", .bad)
        if let install { text += "\nTo install what is not there:\n  \(install)" }
        return text
    }
}

extension Diagnosis.Status {
    fileprivate var style: Terminal.Style {
        switch self {
        case .works: .good
        case .replaced: .warning
        case .missing: .bad
        case .absent, .unused: .faint
        }
    }
}
