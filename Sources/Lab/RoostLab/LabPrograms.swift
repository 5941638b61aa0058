import Glibc
import RoostLinux

/// What a lab needs on this computer besides Roost's own programs, and where those are.
public struct LabPrograms: Sendable {
    /// The folder with `roostd`, `roost-edge`, `roost-pg` and `roost-wan`.
    public let folder: String

    public static let folderVariable = "ROOST_BIN"

    /// Debian package for each program.
    private static let needed: [(program: String, package: String)] = [
        ("ip", "iproute2"), ("bird", "bird2"), ("birdc", "bird2"), ("nsenter", "util-linux"),
        ("unshare", "util-linux"), ("setsid", "util-linux"), ("tini", "tini"), ("runsvdir", "runit"),
        ("svlogd", "runit"), ("sysctl", "procps"), ("awk", "mawk"), ("hostname", "hostname"),
    ]

    /// `folder`, else the environment's ROOST_BIN, else beside the running program; for tests, which run inside a
    /// program of the toolchain, beside their bundle.
    public init(folder: String? = nil) throws(LabError) {
        let chosen = folder ?? getenv(Self.folderVariable).map { String(cString: $0) } ?? Self.ownFolder
        guard access(chosen + "/roost-wan", X_OK) == 0 else {
            throw LabError(
                .failed, "there is no roost-wan in \(chosen)",
                advice: "run 'make build', or set \(Self.folderVariable) to the folder with Roost's programs")
        }
        self.folder = chosen
    }

    private static var ownFolder: String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        return bundle.map(RunningProgram.folder(of:)) ?? RunningProgram.folder
    }

    /// Root, the programs of the operating system, TUN devices.
    func check(for plan: LabPlan) throws(LabError) {
        try Self.requireRoot()
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            throw LabError(.failed, "there is no /dev/net/tun", advice: "run 'modprobe tun'")
        }
        var needed = Self.needed
        if !plan.shape.isNetworkOnly {
            if plan.hosts.contains(where: \.isStoreMember) { needed.append(("etcd", "etcd-server")) }
            for program in ["roostd", "roost-edge"] where access(folder + "/" + program, X_OK) != 0 {
                throw LabError(.failed, "there is no \(program) in \(folder)", advice: "run 'make build'")
            }
        }
        try Self.require(needed)
    }

    /// - Throws: ``LabError`` that names the programs that are missing, and their Debian packages.
    public static func require(_ needed: [(program: String, package: String)]) throws(LabError) {
        let missing = needed.filter { !isInstalled($0.program) }
        guard missing.isEmpty else {
            let packages = Set(missing.map(\.package)).sorted().joined(separator: " ")
            throw LabError(
                .failed, "missing: \(Set(missing.map(\.program)).sorted().joined(separator: ", "))",
                advice: "run 'make setup', or 'apt-get install \(packages)'")
        }
    }

    public static func requireRoot() throws(LabError) {
        guard geteuid() == 0 else {
            throw LabError(.failed, "a lab needs root, for its namespaces", advice: "try again with sudo")
        }
    }

    private static func isInstalled(_ program: String) -> Bool {
        SiteScripts.searchPath.split(separator: ":").contains { access("\($0)/\(program)", X_OK) == 0 }
    }
}
