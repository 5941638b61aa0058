import Glibc
import RoostLinux

/// Becoming another program.
enum OwnProgram {
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
