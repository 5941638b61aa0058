import ArgumentParser

/// Options that all commands share may stand before the command's name too: `roost --json pg list` is what
/// `roost pg list --json` is.
enum LeadingOptions {
    private static let withValue: Set<String> = ["--api", "--token", "--token-file", "--lab"]
    private static let flags: Set<String> = ["--json"]

    /// The words with the shared options that stand among the names of commands moved behind the last of these names.
    /// Every other word stays where it is. `help` asks no roostd and has no form as JSON: there they are left out.
    static func behindTheCommand(_ words: [String], of root: any ParsableCommand.Type) -> [String] {
        var command = root
        var names: [String] = []
        var options: [String] = []
        var rest = words[...]
        while let word = rest.first {
            if let taken = option(at: rest) {
                options += taken
                rest = rest.dropFirst(taken.count)
            } else if let next = CommandNames.child(word, of: command) {
                command = next
                names.append(word)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        if names.isEmpty, rest.first == "help" { return without(rest) }
        // Without a command's name there is nothing to move the options behind: the parser says what is missing.
        return names.isEmpty ? words : names + options + rest
    }

    private static func without(_ words: ArraySlice<String>) -> [String] {
        var kept: [String] = []
        var rest = words
        while let word = rest.first, word != "--" {
            if let taken = option(at: rest) {
                rest = rest.dropFirst(taken.count)
            } else {
                kept.append(word)
                rest = rest.dropFirst()
            }
        }
        return kept + rest
    }

    private static func option(at rest: ArraySlice<String>) -> [String]? {
        guard let word = rest.first else { return nil }
        if flags.contains(word) { return [word] }
        if let equals = word.firstIndex(of: "="), withValue.contains(String(word[..<equals])) { return [word] }
        guard withValue.contains(word), let value = rest.dropFirst().first else { return nil }
        return [word, value]
    }
}
