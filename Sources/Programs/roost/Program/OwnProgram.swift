import FoundationEssentials
import Glibc
import RoostLinux

/// The program that runs now, and becoming another one.
enum OwnProgram {
    /// Where its file is, links followed.
    static var path: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    /// The folder its file is in; the other programs are beside it.
    static var folder: String {
        path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }

    /// Becomes another program, so that terminal, signals and exit status are that program's own.
    ///
    /// - Returns: only if the program could not be started.
    static func become(_ words: [String]) -> SystemError {
        guard let program = words.first else { return SystemError("start", "nothing", code: EINVAL) }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        // What our threads block or ignore is no business of the other program: Ctrl-C, alarms and time-outs reach it.
        for number in 1..<NSIG { signal(number, SIG_DFL) }
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        execvp(program, arguments)
        return SystemError("start", program)
    }
}
