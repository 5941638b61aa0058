import Glibc
import RoostLab
import RoostLinux
import RoostModel

/// podman on a host of the lab, with storage, settings and runtime folder of its own, so that it neither sees nor
/// touches those of this computer. It uses the same OCI runtime as Roost and is spared what Roost does besides: it
/// makes no network (`--network none`), writes no events, and sets no limits.
struct Podman: Sendable {
    private let site: BenchSite
    private let folder: String
    private static let image = "localhost/bench"
    private static let name = "bench"
    private static let sharedFolder = "/var/lib/containers"
    private static let patience = Duration.seconds(60)

    init(_ site: BenchSite) {
        self.site = site
        folder = site.folder + "/podman"
    }

    /// The host's /run is in memory and its own.
    private static let runFolder = "/run/bench-podman"

    private var environment: [String: String] {
        [
            "CONTAINERS_CONF": folder + "/containers.conf", "CONTAINERS_STORAGE_CONF": folder + "/storage.conf",
            "TMPDIR": folder + "/tmp",
        ]
    }

    private func words(_ arguments: [String]) -> [String] {
        [
            "podman", "--root", folder + "/storage", "--runroot", Self.runFolder + "/storage", "--tmpdir",
            Self.runFolder + "/tmp", "--network-config-dir", folder + "/networks", "--storage-driver", "overlay",
            "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
        ] + arguments
    }

    /// Makes an image of the root and keeps it.
    func load(_ root: String) async throws {
        try await keepCacheApart()
        for part in ["tmp", "networks"] { try DurableFile.makeFolder("\(folder)/\(part)") }
        // Its locks would otherwise be in the shared memory of the whole computer.
        try DurableFile.write("[engine]\nlock_type = \"file\"\n", to: folder + "/containers.conf", mode: 0o644)
        try DurableFile.write(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"\(folder)/storage\"\nrunroot = \"\(Self.runFolder)/storage\"\n",
            to: folder + "/storage.conf", mode: 0o644)
        try await site.run(
            ["tar", "--create", "--file", folder + "/root.tar", "--directory", root, "."], deadline: Self.patience)
        try await site.run(
            words(["import", "--quiet", folder + "/root.tar", Self.image]), environment: environment,
            deadline: Self.patience)
    }

    /// podman has a cache whose place cannot be set. The mount is in the host's namespace and ends with it.
    private func keepCacheApart() async throws {
        let apart = folder + "/shared"
        try await site.run(["mkdir", "-p", apart, Self.sharedFolder])
        try await site.run(["mount", "--bind", apart, Self.sharedFolder])
    }

    /// Removes the place of that cache again if nobody else has anything there.
    func leave() { rmdir(Self.sharedFolder) }

    func start(_ command: [String]) async throws -> Double {
        try await site.time(
            words(
                [
                    "run", "--detach", "--pull", "never", "--network", "none", "--log-driver", "k8s-file",
                    "--cgroup-parent", site.planet.paths.cgroup(site.name) + "/podman", "--name", Self.name, Self.image,
                ] + command), environment: environment, deadline: Self.patience)
    }

    func remove() async throws {
        try await site.run(
            words(["rm", "--force", "--time", "0", Self.name]), environment: environment, deadline: Self.patience)
    }
}
