import ArgumentParser
import RoostClient

/// How a command shows its result.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON, for programs.")
    var json = false

    /// The value as JSON, or what `table` makes of it.
    func show<Value: Encodable>(_ value: Value, table: (Value) -> String) throws {
        if json {
            Terminal.put(try RoostJSON.text(value) + "\n", on: .output)
        } else {
            Terminal.put(table(value) + "\n", on: .output)
        }
    }

    /// As ``show(_:table:)`` for a list that may be empty: then `nothing` says so, on standard error.
    func showList<Item: Encodable>(_ items: [Item], nothing: String, table: ([Item]) -> Table) throws {
        if items.isEmpty, !json { return Terminal.say(nothing) }
        try show(items) { table($0).text() }
    }
}

/// Numbers as people read them.
enum Figure {
    static func decimal(_ value: Double, _ digits: Int = 1) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % Int64(scale))
        let zeros = String(repeating: "0", count: digits - fraction.count)
        return "\(sign)\(scaled / Int64(scale)).\(zeros)\(fraction)"
    }

    static func milliseconds(microseconds: Int64) -> String { decimal(Double(microseconds) / 1000) + " ms" }

    static func seconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        return decimal(Double(seconds) + Double(attoseconds) / 1e18) + " s"
    }
}
