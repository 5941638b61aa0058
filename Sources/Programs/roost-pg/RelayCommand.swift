import ArgumentParser
import Glibc
import RoostRelay

struct RelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay", abstract: "Lead this member's receiver to its leader over a warm connection.",
        discussion:
            "Started by 'run', which says on standard input, a socket, whom the member follows. Ends when that ends.",
        shouldDisplay: false)

    @Option(help: "The folder of the receiver's socket.")
    var socketFolder: String

    @Option(help: "The folder of the log's files.")
    var logFolder: String

    @Option(help: "The folder of Postgres's socket.")
    var postgresFolder: String

    @Option(help: "Postgres's port.")
    var postgresPort: UInt16

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        takeName()
        let place = RelayPlace(
            socketFolder: socketFolder, logFolder: logFolder, postgresFolder: postgresFolder,
            postgresPort: postgresPort)
        try Relay.serve(place, input: STDIN_FILENO, output: STDIN_FILENO)
    }

    /// Whoever looks for `roost-pg` in a list of processes means the member.
    private func takeName() {
        let file = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        let name = Array("roost-relay".utf8)
        _ = write(file, name, name.count)
    }
}
