import ArgumentParser
import Foundation
import RoostSettings

struct CheckConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config",
        abstract: "Say whether the configuration is right, and what is in force.",
        discussion:
            "Every setting with its value, and whether it is the default or from the file, the environment or a "
            + "flag. Secrets are not shown. docs/configuration.md has what each may be.")

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "As JSON.")
    var json = false

    func run() async throws {
        let lines = try options.inForce().lines
        guard !json else {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(lines), as: UTF8.self))
            return
        }
        let width = lines.map(\.key.count).max() ?? 0
        for line in lines {
            let key = line.key.padding(toLength: width, withPad: " ", startingAt: 0)
            print("\(key)  \(line.text)" + (line.origin == .byDefault ? "" : "  (\(line.origin.rawValue))"))
        }
    }
}
