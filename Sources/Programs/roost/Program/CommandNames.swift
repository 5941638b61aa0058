import ArgumentParser

/// The commands below a command, by the names that a person types.
enum CommandNames {
    typealias CommandType = any ParsableCommand.Type

    static func children(of command: CommandType) -> [CommandType] {
        // Those of groups are among them.
        command.configuration.subcommands
    }

    static func child(_ word: String, of command: CommandType) -> CommandType? {
        children(of: command).first { $0._commandName == word || $0.configuration.aliases.contains(word) }
    }

    /// The parser shows the help of the last name that it knows and is content with that: a script would take the help
    /// of another command, and status 0, for an answer.
    ///
    /// - Throws: for `help` with a name that there is not.
    static func checkHelp(_ words: [String], of root: CommandType) throws(UsageMistake) {
        guard words.first == "help" else { return }
        var command = root
        var path = "roost"
        // What follows an option that help does not have may be its value; the parser refuses the option.
        let isName = { (word: String) in !word.hasPrefix("-") }
        let asked = words.dropFirst().prefix { isName($0) || helpFlags.contains($0) }
        for word in asked where isName(word) {
            if let next = child(word, of: command) {
                command = next
                path += " " + next._commandName
            } else if path != "roost" || word != "help" {
                throw UsageMistake("'\(path)' has no command '\(word)'" + hint(word, at: command, path))
            }
        }
    }

    /// What somebody may look for who knows another platform, and why it is not there.
    private static let absent = [
        "machines update": "the configuration of a machine does not change: create another one, and destroy the first",
        "machines clone": "a machine is not copied: create another one with the same --config",
        "volumes extend": "the size of a volume does not change: create a larger one, and copy",
        "volumes grow": "the size of a volume does not change: create a larger one, and copy",
        "volumes resize": "the size of a volume does not change: create a larger one, and copy",
        "volumes snapshots": "there are no snapshots of volumes",
        "volumes snapshot": "there are no snapshots of volumes",
        "volumes fork": "a volume is not copied: create another one, and copy what is in it",
    ]

    /// The parser takes such a word for an argument of the list, and says that there are too many.
    ///
    /// - Throws: for a command that there is on purpose none of.
    static func checkAbsent(_ words: [String], of root: CommandType) throws(UsageMistake) {
        guard words.count > 1, let family = child(words[0], of: root), child(words[1], of: family) == nil,
            let why = absent["\(family._commandName) \(words[1])"]
        else { return }
        throw UsageMistake("there is no 'roost \(family._commandName) \(words[1])': \(why)")
    }

    private static let helpFlags: Set<String> = ["-h", "--help", "-help", "--"]

    private static func hint(_ word: String, at command: CommandType, _ path: String) -> String {
        let names = children(of: command).flatMap { [$0._commandName] + $0.configuration.aliases }
        if let near = nearest(to: word, among: names) { return "; did you mean '\(path) \(near)'?" }
        let own = children(of: command).map { $0._commandName }
        return own.isEmpty ? "" : "; there are \(own.joined(separator: ", "))"
    }

    /// The one that is fewest changes of a letter away, if a slip of the hand can explain it.
    static func nearest(to word: String, among names: [String]) -> String? {
        let near = names.map { (distance(Array(word.utf8), Array($0.utf8)), $0) }.min { $0.0 < $1.0 }
        guard let near, near.0 <= max(1, word.utf8.count / 3) else { return nil }
        return near.1
    }

    /// Levenshtein's: letters put in, left out or exchanged.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let exchanged = diagonal + (letter == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(exchanged, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count]
    }
}
