import ArgumentParser

/// Asks before something is destroyed. Only a person at a terminal is asked: a script that names a thing to be
/// destroyed means it, and must not hang.
struct ConfirmationOptions: ParsableArguments {
    @Flag(name: [.customShort("y"), .long], help: "Do not ask.")
    var yes = false

    func confirm(_ question: String) throws {
        guard !yes, Terminal.hasUser else { return }
        Terminal.put("\(question) [y/N] ", on: .error)
        guard let answer = readLine()?.lowercased(), ["y", "yes"].contains(answer) else {
            throw CommandFailure("not confirmed, so nothing was done", advice: "Add --yes to do it without a question.")
        }
    }

    /// For what nobody can take back: the name is typed, and a script says that it means it.
    func confirm(_ warning: String, byTyping name: String) throws {
        guard !yes else { return }
        let advice = "Add --yes to do it without a question."
        guard Terminal.hasUser else {
            throw CommandFailure("nobody is there to type '\(name)', so nothing was done", advice: advice)
        }
        Terminal.put("\(warning)\nType the name '\(name)' to go on: ", on: .error)
        guard readLine() == name else { throw CommandFailure("not confirmed, so nothing was done", advice: advice) }
    }
}
