import Glibc
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// What the machines of a bench consist of: one static program that waits.
enum BenchRoot {
    static let command = ["/bin/sleep", "86400"]
    private static let program = "/bin/busybox"
    private static let knownMax = Duration.seconds(10)

    static func make(_ root: String) throws {
        for folder in ["bin", "etc", "proc", "sys", "dev", "tmp", "data"] {
            try DurableFile.makeFolder("\(root)/\(folder)", mode: 0o755)
        }
        guard let bytes = try DurableFile.read(program, bytesMax: 16 << 20) else {
            throw LabError(.failed, "there is no \(program)", advice: "install the package busybox-static")
        }
        try DurableFile.write(bytes, to: "\(root)/bin/busybox", mode: 0o755)
        guard symlink("busybox", "\(root)/bin/sleep") == 0 || errno == EEXIST else {
            throw SystemError("make", "\(root)/bin/sleep")
        }
    }

    /// It ends at once when it is told to: its process 1 would not hear a gentler signal.
    static func config(_ root: String, mounts: [MachineMount] = []) -> MachineConfig {
        MachineConfig(
            image: "dir:" + root, initial: MachineInit(exec: command), mounts: mounts,
            restart: MachineRestart(policy: .no), stop: StopConfig(signal: "SIGKILL"))
    }

    /// An app that the host knows.
    static func make(_ app: AppName, on api: RoostAPIClient) async throws {
        try await api.createApp(CreateAppRequest(name: app.text))
        let known: Bool? = try await poll(for: knownMax) {
            try await api.apps().contains { $0.name == app } ? true : nil
        }
        guard known != nil else { throw LabError(.failed, "the host does not know the app \(app) it made") }
    }
}
