import ArgumentParser
import RoostDemo
import RoostLab
import RoostLinux
import RoostModel

struct LabDemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Build a planet, put a Postgres cluster on it, break things, measure.",
        discussion: """
            A lab of the same name is removed first. The planet stays up afterwards. Exit status 1 if a confirmed \
            row was lost or something did not recover.
            """)

    @Option(help: .init("Regions by airport code; the first is the primary's.", valueName: "codes"))
    var regions = "ams,iad,sin"

    @Option(help: .init("The cluster's name.", valueName: "cluster"), transform: { try PostgresNames.cluster($0) })
    var cluster = DemoCluster.name

    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await inLab {
            let codes = regions.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let shape = try LabShape(name: lab.name, regions: codes)
            try LabPrograms.requireRoot()
            let cluster = cluster
            let begin = BootClock.now()
            let advice = "Interrupted. The lab may still be there: roost lab status, roost lab down"
            let report = try await interruptible(advice: advice) {
                try await Demo.run(shape, cluster: cluster) { step in
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

    private func text(_ report: DemoReport) -> String {
        var timeline = Table("AFTER", "WHAT HAPPENED", "WRITE GAP", "EPOCH", "PRIMARY", "CLIENT LANDS ON")
        for event in report.events {
            timeline.add(
                .number(Figure.decimal(Double(event.atMilliseconds) / 1000) + " s"), Cell(event.title),
                .number("\(event.gapMilliseconds) ms"), .number(event.epoch), Cell(event.leader?.text ?? "-"),
                Cell(event.edge?.text ?? "-"))
        }
        let verdict = "\(report.rowsConfirmed) rows confirmed, \(report.rowsLost) lost"
        return """
            Planet up in \(Figure.decimal(Double(report.upMilliseconds) / 1000)) s, \
            cluster ready in \(Figure.decimal(Double(report.createMilliseconds) / 1000)) s.

            Before:
            \(Self.landings(report.before).text())

            What a writer in the first region noticed:
            \(timeline.text())

            \(Terminal.paint(verdict, report.rowsLost == 0 ? .good : .bad))

            After:
            \(Self.landings(report.after).text())

            The planet is still up. Play with it:
            \(Self.hints(report))
            """
    }

    private static func hints(_ report: DemoReport) -> String {
        let isDefault = report.lab == LabShape.nameDefault
        let lab = isDefault ? "" : " --lab \(report.lab)"
        let name = isDefault ? "" : " --name \(report.lab)"
        let hints = [
            ("roost pg connect \(report.cluster)\(lab)", "psql, as a client in the first region"),
            ("roost pg status \(report.cluster)\(lab)", "members, epoch, lag"),
            ("roost lab status\(name)", "hosts, clients, providers, faults"),
            ("roost lab fault kill-host iad1\(name)", "or start-host, freeze-host, stop-edge"),
            ("roost lab fault cut ams iad\(name)", "or loss, delay; then heal --all"),
            ("roost lab down\(name)", "and it is gone"),
        ]
        let width = hints.map(\.0.count).max() ?? 0
        return hints.map { command, what in
            "  \(command)\(String(repeating: " ", count: width - command.count + 2))\(what)"
        }.joined(separator: "\n")
    }

    private static func landings(_ landings: [DemoReport.Landing]) -> Table {
        var table = Table("CLIENT", "PORT", "EDGE", "MEMBER", "ON HOST", "ROUND TRIP")
        for landing in landings {
            table.add(
                Cell(landing.client), .number(landing.port), Cell(landing.edge.text), Cell(landing.member.text),
                Cell(landing.memberHost.text), .number(Figure.decimal(landing.roundTripMilliseconds) + " ms"))
        }
        return table
    }
}

/// The demo's cluster unless another name is given.
enum DemoCluster {
    static var name: AppName {
        guard let name = try? AppName("demo") else { preconditionFailure("'demo' is an app name") }
        return name
    }
}
