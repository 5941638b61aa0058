/// What the OCI runtime says of a process that it began in a machine.
enum RuntimeWords {
    /// The runtime speaks with a process of its own inside the machine by a pipe, until that becomes the program. Words of runc
    /// about that pipe (libcontainer/process_linux.go, nsexec) say that it is gone, and not why.
    private static let ofLostProcess = [
        "read init-p:", "connection reset by peer", "broken pipe", "child's PID from pipe",
        "container init: %!w(<nil>)",
        "waiting for init preliminary setup",
    ]

    /// The process was ended before it could say what was wrong, as happens when all that is in the machine is being ended.
    static func tellOfLostProcess(_ words: String) -> Bool { ofLostProcess.contains { words.contains($0) } }

    /// For whoever reads a machine's events: such words alone read like a fault of the runtime.
    static func explained(_ words: String) -> String {
        guard tellOfLostProcess(words) else { return words }
        return
            "its process was ended before the program began: somebody ended it, or the machine has too little memory "
            + "(\(words))"
    }
}
