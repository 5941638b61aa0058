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
}
