import CLinux
import Glibc

/// Signals by name, as people and images write them: `SIGINT`, `INT`, `int` or `2`.
enum Signal {
    static let numberMax: Int32 = 64

    static func number(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...numberMax).contains(number) ? number : nil }
        let upper = text.uppercased()
        return numbers[upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper]
    }

    private static let numbers: [String: Int32] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP, "ABRT": SIGABRT,
        "BUS": SIGBUS, "FPE": SIGFPE, "KILL": SIGKILL, "USR1": SIGUSR1, "SEGV": SIGSEGV, "USR2": SIGUSR2,
        "PIPE": SIGPIPE, "ALRM": SIGALRM, "TERM": SIGTERM, "CHLD": SIGCHLD, "CONT": SIGCONT, "STOP": SIGSTOP,
        "TSTP": SIGTSTP, "TTIN": SIGTTIN, "TTOU": SIGTTOU, "URG": SIGURG, "XCPU": SIGXCPU, "XFSZ": SIGXFSZ,
        "VTALRM": SIGVTALRM, "PROF": SIGPROF, "WINCH": SIGWINCH, "IO": SIGIO, "PWR": SIGPWR, "SYS": SIGSYS,
    ]
}
