import CLinux
import Glibc
import RoostLinux

/// Which OCI runtime works on this computer, and why the other does not.
public struct RuntimeProbe: Sendable {
    public struct Finding: Hashable, Sendable {
        public var program: String
        public var version: String?
        public var isUsable: Bool
        public var reason: String

        public init(program: String, version: String?, isUsable: Bool, reason: String) {
            self.program = program
            self.version = version
            self.isUsable = isUsable
            self.reason = reason
        }
    }

    public enum CgroupMode: String, Hashable, Sendable {
        /// cgroup v2 alone.
        case unified
        /// cgroup v1 controllers, with or without a v2 hierarchy beside them.
        case legacy
        case missing
    }

    /// In order of preference.
    public let findings: [Finding]
    public let cgroupMode: CgroupMode

    /// The program to use, nil when none works.
    public var chosen: String? { findings.first(where: \.isUsable)?.program }

    /// The program to use on a host whose machines were started with `former`: they are known to that one only, so
    /// it is kept as long as it works.
    public func choice(after former: String?) -> String? {
        findings.contains { $0.program == former && $0.isUsable } ? former : chosen
    }

    public static func probe() async -> RuntimeProbe {
        let mode = cgroupMode((try? MountTable.current()) ?? MountTable(mountinfo: ""))
        var findings: [Finding] = []
        for program in ["crun", "runc"] {
            let output = try? await Command(program, ["--version"], deadline: .seconds(10)).run()
            let version = output?.standardOutput.split(separator: "\n").first.map(String.init)
            findings.append(judge(program, version: version, mode: mode))
        }
        return RuntimeProbe(findings: findings, cgroupMode: mode)
    }

    static func judge(_ program: String, version: String?, mode: CgroupMode) -> Finding {
        let verdict: (isUsable: Bool, reason: String)
        switch (version, mode, program) {
        case (nil, _, _): verdict = (false, "not installed: apt-get install \(program)")
        case (_, .missing, _): verdict = (false, "no control groups are mounted at /sys/fs/cgroup")
        case (_, .legacy, "crun"): verdict = (false, "it refuses cgroup v1 beside v2, which this computer has")
        case (_, .legacy, _): verdict = (true, "works with cgroup v1")
        case (_, .unified, _): verdict = (true, "works with cgroup v2")
        }
        return Finding(program: program, version: version, isUsable: verdict.isUsable, reason: verdict.reason)
    }

    static func cgroupMode(_ table: MountTable) -> CgroupMode {
        if table.mounts.contains(where: { $0.type == "cgroup" }) { return .legacy }
        return table.mounts.contains { $0.type == "cgroup2" } ? .unified : .missing
    }
}
