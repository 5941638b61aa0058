import Glibc
import RoostLinux

/// A question to this computer that is answered by trying, not by reading a version.
enum Probe: String, CaseIterable, Sendable {
    case root, namespaces, cgroup, overlay, loop, tun, wireguard, netem, nftables, seccomp, reflink, kvm
    case runc, crun, conmon, skopeo, umoci, wireguardGo, wireguardTools, iproute, bird, etcd, openssl, sysctl, strip,
        mmdebstrap, psql, tini, runit
    case podman, haproxy, pgbench, fio, swift, libpq, sqlite, pkgConfig

    /// What came of a probe, and a few words of detail.
    struct Answer: Sendable, Equatable {
        var works: Bool
        var detail: String

        static func yes(_ detail: String = "works") -> Answer { Answer(works: true, detail: detail) }
        static func no(_ detail: String) -> Answer { Answer(works: false, detail: detail) }
    }

    static let deadline = Duration.seconds(15)
    static let detailLengthMax = 60

    func ask() async -> Answer {
        switch self {
        case .root: geteuid() == 0 ? .yes("root") : .no("not root")
        case .namespaces:
            await Self.trial("unshare", ["--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "true"])
        case .cgroup: Self.cgroup()
        // crun of Debian 12 refuses to run where version 1 is mounted, beside version 2 too.
        case .crun: Self.hasCgroupV1 ? .no("it refuses cgroup version 1") : await version()
        case .overlay: await Self.script(Self.overlayTrial, in: ["--mount"])
        case .loop: await Self.script(Self.loopTrial, in: ["--mount"])
        case .tun: await Self.script("ip tuntap add dev probe mode tun", in: ["--net"])
        case .wireguard: await Self.script("ip link add probe type wireguard", in: ["--net"])
        case .netem: await Self.script("ip link set lo up && tc qdisc add dev lo root netem delay 1ms", in: ["--net"])
        case .nftables: await Self.script("printf '%s' '\(Self.nftTrial)' | nft -f -", in: ["--net"])
        case .seccomp: Self.seccomp()
        case .reflink: await Self.script(Self.reflinkTrial, in: [])
        case .kvm: Self.opens("/dev/kvm")
        // Neither has an option that only says its version.
        case .runit: await Self.script("command -v runsvdir && command -v svlogd", in: [])
        case .libpq: Self.exists(["/usr/include/postgresql/libpq-fe.h", "/usr/include/libpq-fe.h"])
        case .sqlite: Self.exists(["/usr/include/sqlite3.h"])
        default: await version()
        }
    }

    // MARK: - Programs

    /// The program's name and the arguments with which it does nothing but say its version.
    private var programAndArguments: (String, [String])? {
        switch self {
        case .runc: ("runc", ["--version"])
        case .crun: ("crun", ["--version"])
        case .conmon: ("conmon", ["--version"])
        case .skopeo: ("skopeo", ["--version"])
        case .umoci: ("umoci", ["--version"])
        case .wireguardGo: ("wireguard-go", ["--version"])
        case .wireguardTools: ("wg", ["--version"])
        case .iproute: ("ip", ["-V"])
        case .bird: ("bird", ["--version"])
        case .etcd: ("etcd", ["--version"])
        case .openssl: ("openssl", ["version"])
        case .sysctl: ("sysctl", ["--version"])
        case .strip: ("strip", ["--version"])
        case .mmdebstrap: ("mmdebstrap", ["--version"])
        case .psql: ("psql", ["--version"])
        case .tini: ("tini", ["--version"])
        case .podman: ("podman", ["--version"])
        case .haproxy: ("haproxy", ["-v"])
        case .pgbench: ("pgbench", ["--version"])
        case .fio: ("fio", ["--version"])
        case .swift: ("swift", ["--version"])
        case .pkgConfig: ("pkg-config", ["--version"])
        case .root, .namespaces, .cgroup, .overlay, .loop, .tun, .wireguard, .netem, .nftables, .seccomp, .reflink,
            .kvm, .libpq, .sqlite, .runit:
            nil
        }
    }

    private func version() async -> Answer {
        guard let (program, arguments) = programAndArguments else { return .no("unknown") }
        do {
            let output = try await Command(program, arguments, deadline: Self.deadline).outcome()
            let text = output.standardOutput + output.standardError
            let line = Self.firstLine(text) ?? "runs"
            guard output.status == 0 else { return .no("\(program) fails: \(line)") }
            return await PackageVersion.fault(of: self).map { .no($0) } ?? .yes(line)
        } catch {
            return .no("no \(program)")
        }
    }

    private static func firstLine(_ text: String) -> String? {
        guard let line = text.split(separator: "\n").first, !line.isEmpty else { return nil }
        return line.count <= detailLengthMax ? String(line) : line.prefix(detailLengthMax - 1) + "…"
    }

    // MARK: - The kernel

    private static func trial(_ program: String, _ arguments: [String]) async -> Answer {
        do {
            let output = try await Command(program, arguments, deadline: deadline).outcome()
            if output.status == 0 { return .yes() }
            let text = output.standardError + output.standardOutput
            return .no(firstLine(text) ?? "status \(output.status)")
        } catch {
            return .no("no \(program)")
        }
    }

    /// Runs a script in namespaces of its own, so that nothing of the trial can stay behind.
    private static func script(_ text: String, in namespaces: [String]) async -> Answer {
        let shell = ["sh", "-ec", text]
        if namespaces.isEmpty { return await trial(shell[0], Array(shell.dropFirst())) }
        return await trial("unshare", namespaces + ["--"] + shell)
    }

    private static let overlayTrial = """
        mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work /mnt/all
        mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/all
        touch /mnt/all/file; test -e /mnt/upper/file
        """

    // losetup --direct-io fails on file systems without it (tmpfs), where a volume could not be either.
    private static let loopTrial = """
        file=$(mktemp /var/tmp/roost-doctor.XXXXXX); device=
        trap 'test -z "$device" || losetup -d "$device"; rm -f "$file"' EXIT
        truncate -s 16M "$file"; mkfs.ext4 -q "$file"
        device=$(losetup --find --show --direct-io=on "$file")
        mount -t ext4 "$device" /mnt; touch /mnt/file; umount /mnt
        """

    private static let nftTrial =
        "table inet probe { chain input { type filter hook input priority 0; tcp dport 5432 reject with tcp reset; }; }"

    private static let reflinkTrial = """
        folder=/var/lib/roost; test -d "$folder" || folder=/var/lib
        file=$(mktemp "$folder/.roost-doctor.XXXXXX"); trap 'rm -f "$file" "$file.copy"' EXIT
        echo text > "$file"; cp --reflink=always "$file" "$file.copy" 2>/dev/null ||
            { echo "not on this file system"; exit 1; }
        """

    private static func cgroup() -> Answer {
        if hasCgroupV1 { return .yes("version 1") }
        return access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0
            ? .yes("version 2") : .no("no cgroup hierarchy at /sys/fs/cgroup")
    }

    private static var hasCgroupV1: Bool {
        let mounts = (try? DurableFile.read("/proc/self/mountinfo")).flatMap { $0 } ?? []
        return String(decoding: mounts, as: UTF8.self).contains(" - cgroup ")
    }

    private static func seccomp() -> Answer {
        let actions = (try? DurableFile.read("/proc/sys/kernel/seccomp/actions_avail")).flatMap { $0 } ?? []
        let text = String(decoding: actions, as: UTF8.self)
        return text.contains("errno") ? .yes("filters with errno") : .no("the kernel has no seccomp filters")
    }

    private static func opens(_ path: String) -> Answer {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return .no(String(cString: strerror(errno))) }
        close(file)
        return .yes()
    }

    private static func exists(_ paths: [String]) -> Answer {
        paths.first { access($0, R_OK) == 0 }.map { .yes($0) } ?? .no("no \(paths[0])")
    }
}
