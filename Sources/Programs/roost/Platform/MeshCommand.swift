import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct MeshCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh", abstract: "The encrypted mesh between the hosts.", subcommands: [Status.self],
        defaultSubcommand: Status.self)

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show round-trip time and loss between each pair of hosts, as the row's host measures it.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let mesh = try await Roostds.find(global).ask { try await $0.mesh() }
            try output.show(mesh) { $0.matrix.text() + $0.silence }
        }
    }
}

extension MeshMatrixBody {
    /// One row for each host that answered, one column for each host that any of them knows.
    var matrix: Table {
        let rows = rows.sorted { ($0.region, $0.host) < ($1.region, $1.host) }
        var columns = rows.map(\.host)
        for path in rows.flatMap(\.paths).map(\.peer).sorted() where !columns.contains(path) { columns.append(path) }
        var table = Table(headers: ["FROM \\ TO"] + columns.map(\.text))
        for row in rows {
            table.add(
                cells: [Cell(row.host.text)]
                    + columns.map { column in
                        if column == row.host { return .number("·", .faint) }
                        return row.paths.first { $0.peer == column }?.cell ?? .number("-", .faint)
                    })
        }
        return table
    }

    var silence: String {
        guard !silent.isEmpty else { return "" }
        let names = silent.sorted().map(\.text).joined(separator: ", ")
        return "\n" + Terminal.paint("No answer from \(names).", .warning)
    }
}

extension MeshMatrixBody.Path {
    /// Loss that a person should notice, in per cent.
    private static let noticeableLoss = 0.5
    private static let badLoss = 5.0
    /// Of packets of full size: from here on a path does not carry them.
    private static let blackHole = 50.0

    fileprivate var cell: Cell {
        guard let roundTripMicroseconds else { return .number("no answer", .bad) }
        let time = Figure.milliseconds(microseconds: roundTripMicroseconds)
        // A path that loses all loses the large ones too, and that is no news.
        if let fullSizeLossPercent, fullSizeLossPercent >= Self.blackHole, lossPercent < Self.blackHole {
            return .number("\(time), small only", .bad)
        }
        guard lossPercent >= Self.noticeableLoss else { return .number(time) }
        return .number(
            "\(time), \(Figure.decimal(lossPercent, 0)) % lost", lossPercent >= Self.badLoss ? .bad : .warning)
    }
}
