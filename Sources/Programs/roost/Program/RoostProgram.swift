import ArgumentParser
import Glibc
import RoostClient
import RoostLinux
import RoostModel

/// Runs one command and turns what became of it into an exit status: 0 done, 1 failed, 2 wrong usage,
/// 124 when a command in a machine took longer than its time, 130 interrupted.
@main
enum RoostProgram {
    static func main() async {
        do {
            Terminal.claimStandardDescriptors()
            let words = LeadingOptions.behindTheCommand(
                Array(CommandLine.arguments.dropFirst()), of: RoostCommand.self)
            try CommandNames.checkHelp(words, of: RoostCommand.self)
            try CommandNames.checkAbsent(words, of: RoostCommand.self)
            var command = try RoostCommand.parseAsRoot(words)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            exit(report(error))
        }
    }

    /// Says what went wrong and hands back the exit status for it.
    static func report(_ error: any Error) -> Int32 {
        switch error {
        case let error as Interrupted:
            Terminal.say("\n" + error.advice)
            return ExitStatus.interrupted
        case let failure as CommandFailure:
            complain(failure.message, advice: failure.advice)
            return failure.status
        case let mistake as UsageMistake:
            complain(mistake.message, advice: nil)
            return ExitStatus.usage
        case let error as APIError:
            complain(error.description, advice: Advice.after(error))
            return ExitStatus.failed
        case is CommandError, is SystemError, is InvalidValue:
            complain("\(error)", advice: nil)
            return ExitStatus.failed
        default:
            return reportParser(error)
        }
    }

    /// Help and version are results and go to standard output; wrong usage is 2, not the library's 64.
    private static func reportParser(_ error: any Error) -> Int32 {
        let code = RoostCommand.exitCode(for: error)
        let text = RoostCommand.fullMessage(for: error)
        if code == .success {
            if !text.isEmpty { Terminal.result(text) }
            return ExitStatus.done
        }
        if !text.isEmpty { Terminal.say(text) }
        return code == .validationFailure ? ExitStatus.usage : code.rawValue
    }

    private static func complain(_ message: String, advice: String?) {
        Terminal.say(Terminal.paint("error: ", .bad, on: .error) + Terminal.harmless(message))
        if let advice { Terminal.say(Terminal.harmless(advice)) }
    }
}

enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    /// As `timeout` of coreutils: what was run in a machine took longer than its time. Not ``failed``, which a program there
    /// may have ended with.
    static let timedOut: Int32 = 124
    /// As a shell reports a program that ended by SIGINT.
    static let interrupted: Int32 = 130
}

/// A command that did not do what was asked, and what to do next.
struct CommandFailure: Error {
    var message: String
    var advice: String?
    /// What the command is about is not there.
    var isAbsence: Bool
    /// What the program ends with.
    var status: Int32

    init(_ message: String, advice: String? = nil, isAbsence: Bool = false, status: Int32 = ExitStatus.failed) {
        self.message = message
        self.advice = advice
        self.isAbsence = isAbsence
        self.status = status
    }
}

/// Wrong usage that only shows when the command runs; until then it is a `ValidationError`.
struct UsageMistake: Error {
    var message: String
    init(_ message: String) { self.message = message }
}

/// The user pressed Ctrl-C.
struct Interrupted: Error {
    /// What is left, and how to go on or take it back.
    var advice: String
}
