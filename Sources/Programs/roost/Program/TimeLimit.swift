import ArgumentParser
import RoostModel

/// A time as people write it for an option: with units, `1m30s`, or a plain number of seconds.
func timeLimit(_ text: String) throws(InvalidValue) -> DurationText {
    let isNumber = !text.isEmpty && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    return try DurationText(isNumber ? text + "s" : text)
}

/// How long a command in a machine may run: its host counts whole seconds.
struct CommandTimeOptions: ParsableArguments {
    @Option(help: "How long it may run: 1 to 120 s, in whole seconds (else 60 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(60))

    static let range = 1...120

    var seconds: Int { Int(timeout.duration.components.seconds) }

    mutating func validate() throws {
        guard DurationText(.seconds(seconds)) == timeout, Self.range.contains(seconds) else {
            throw ValidationError(
                "--timeout is from \(Self.range.lowerBound) to \(Self.range.upperBound) seconds, in whole ones")
        }
    }
}
