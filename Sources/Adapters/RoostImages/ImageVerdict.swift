import RoostLinux
import RoostRuntime

/// Whether a program that failed has judged the image, or only lacked something of the host. Only a judgement is for
/// ever. Pure.
enum ImageVerdict {
    struct Failure: Hashable {
        var code: RuntimeError.Code
        /// For whoever asked for the image.
        var words: String
    }

    private struct Lack {
        /// As programs in Go say it (Go's syscall/zerrors_linux_amd64.go).
        var mark: String
        var code: RuntimeError.Code = .failed
    }

    /// The host's and not the image's, whatever the image is. An image that has such words in the name of a file, to be
    /// tried again, gains nothing by it.
    private static let lacks = [
        Lack(mark: "no space left on device", code: .noSpace), Lack(mark: "disk quota exceeded", code: .noSpace),
        Lack(mark: "too many open files"), Lack(mark: "cannot allocate memory"),
        Lack(mark: "resource temporarily unavailable"), Lack(mark: "input/output error"),
        Lack(mark: "read-only file system"), Lack(mark: "interrupted system call"), Lack(mark: "stale file handle"),
        Lack(mark: "stale NFS file handle"),
    ]

    /// `umoci` and `skopeo` end so when they say no by themselves. Go itself ends a program with 2, as when it gets no
    /// memory or no thread; `setpriv` with 126 or 127 what it cannot start; and a signal is the kernel's or an
    /// operator's.
    private static let saysNo: Int32 = 1

    /// - Parameter code: what it means when the program has judged.
    static func of(_ error: CommandError, judging code: RuntimeError.Code) -> Failure {
        switch error.cause {
        case .exited(let status, let complaint):
            // Nothing is for ever about what a registry says, and it may have lacks of its own.
            guard code == .imageInvalid else { return Failure(code: code, words: words(error, complaint)) }
            if let lack = lacks.first(where: { complaint.contains($0.mark) }) {
                return Failure(code: lack.code, words: "the host lacks something for it: \(lack.mark)")
            }
            guard status == saysNo else { return Failure(code: .failed, words: error.summary) }
            return Failure(code: code, words: words(error, complaint))
        case .deadlineExceeded:
            // A host that reaches no registry, as in a lab, gets no answer at all.
            let advice = error.command.contains("docker://") ? ": does this host reach the registry?" : ""
            return Failure(code: .deadlineExceeded, words: error.summary + advice)
        case .notStarted, .outputTooLong, .cancelled: return Failure(code: .failed, words: error.summary)
        }
    }

    private static func words(_ error: CommandError, _ complaint: String) -> String {
        if error.command.hasPrefix("skopeo") { return RegistryFault.words(complaint) }
        if error.command.hasPrefix("umoci") { return "its layers are damaged, or not what they are said to be" }
        return error.summary
    }
}
