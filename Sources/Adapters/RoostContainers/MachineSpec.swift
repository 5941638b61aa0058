import RoostModel
import RoostRuntime

/// Turns what a machine is to be into the runtime's words. A pure function of the launch, the image and the folders.
struct MachineSpec {
    var launch: MachineLaunch
    var image: UnpackedImage
    var user: ImageUser
    var folders: MachineFolders
    var cgroup: String
    /// The kernel can limit swap too (cgroup v1 only with swap accounting).
    var limitsSwap: Bool
    /// The host's own limit of open files: not everywhere may root hand on more than it has.
    var openFilesMax: UInt64

    /// The program that is process 1 of a machine, on the host.
    var initProgram: String

    /// Docker's default set (https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities)
    /// without CAP_MKNOD and CAP_NET_RAW: no ordinary program makes devices or forges packets. The `ping` of
    /// iputils works by ``pingGroups``.
    static let capabilities = [
        "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
        "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    ]
    /// Everybody may send echo requests, and nothing else, without a raw socket (icmp(7)).
    static let pingGroups = ["net.ipv4.ping_group_range": "0 2147483647"]
    /// Where a machine finds its init: in /dev, which is no part of its root.
    static let initPlace = "/dev/roost-init"
    static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    static let processesMax: Int64 = 4096
    static let openFilesSoft: UInt64 = 65536
    static let openFilesHard: UInt64 = 1 << 20

    static let cpuPeriodMicroseconds: UInt64 = 100_000
    static let cpuSharesPerCore: UInt64 = 1024
    /// Fly.io's baseline of a shared CPU.
    static let sharedCoresPerCore: UInt64 = 16
    static let sharedMemoryMin = ByteCount.mebibytes(64)
    /// Enough for a database that runs queries in parallel; more is of no use to anybody we know.
    static let sharedMemoryMax = ByteCount.mebibytes(256)
    /// When the host itself runs out of memory, machines go before the host's own services.
    static let oomScore = 100
    static let variableBytesMax = 128 << 10

    func make() throws(RuntimeError) -> RuntimeSpec {
        RuntimeSpec(
            process: .init(
                user: .init(uid: user.uid, gid: user.gid, additionalGids: user.additionalGids), args: try process(),
                env: try environment(), cwd: image.workingDirectory,
                capabilities: .init(
                    bounding: Self.capabilities, effective: user.uid == 0 ? Self.capabilities : [],
                    permitted: user.uid == 0 ? Self.capabilities : []),
                rlimits: [openFiles, .init(type: "RLIMIT_CORE", soft: 0, hard: 0)], oomScoreAdj: Self.oomScore),
            root: .init(path: folders.root), hostname: launch.hostname, mounts: try mounts(),
            linux: .init(
                namespaces: [
                    .init(type: "pid"), .init(type: "mount"), .init(type: "uts"), .init(type: "ipc"),
                    .init(type: "cgroup"), .init(type: "network", path: networkNamespace),
                ], cgroupsPath: cgroup, resources: resources, sysctl: Self.pingGroups, seccomp: .docker,
                maskedPaths: Self.maskedPaths, readonlyPaths: Self.readonlyPaths))
    }

    /// Process 1 and the machine's own program below it: somebody has to reap orphans and to hand on signals, and few
    /// programs do. A machine that speaks to its host brings an init that knows more.
    private func process() throws(RuntimeError) -> [String] {
        let own = try arguments()
        switch launch.hostLink {
        case .unix: return own
        case nil: return [Self.initPlace, "--"] + own
        }
    }

    /// `exec` replaces everything, `entrypoint` and `cmd` each its own part of the image's command.
    func arguments() throws(RuntimeError) -> [String] {
        let initial = launch.config.initial
        let arguments =
            initial.exec ?? (initial.entrypoint ?? image.entrypoint) + (initial.cmd ?? image.command)
        guard let program = arguments.first, !program.isEmpty else {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                cause: "the image \(launch.image) has no command: set init.exec, init.entrypoint or init.cmd")
        }
        guard arguments.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                cause: "its command contains a zero byte")
        }
        return arguments
    }

    /// The image's, then the config's, then the launch's; the last word counts.
    func environment() throws(RuntimeError) -> [String] {
        var values: [String: String] = [:]
        for entry in image.environment {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
        values["HOSTNAME"] = launch.hostname
        values.merge(launch.config.environment) { _, new in new }
        values.merge(launch.environment) { _, new in new }
        for (name, value) in values {
            let isSound =
                !name.isEmpty && !name.utf8.contains(UInt8(ascii: "=")) && !name.utf8.contains(0)
                && !value.utf8.contains(0) && name.utf8.count + value.utf8.count < Self.variableBytesMax
            guard isSound else {
                throw RuntimeError(
                    code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                    cause: "the environment variable '\(name.prefix(100))' has a wrong name or is too long")
            }
        }
        return values.map { "\($0)=\($1)" }.sorted()
    }

    private var resources: RuntimeSpec.Linux.Resources {
        let guest = launch.config.guest
        let memory = ByteCount.mebibytes(guest.memoryMebibytes).bytes
        let cpus = UInt64(max(1, guest.cpus))
        let shares: UInt64
        switch guest.cpuKind {
        case .shared, .unknown: shares = Self.cpuSharesPerCore / Self.sharedCoresPerCore * cpus
        case .performance: shares = Self.cpuSharesPerCore * cpus
        }
        return .init(
            // The runtime adds /dev/null and its like to what is allowed.
            devices: [.init(allow: false, access: "rwm")],
            memory: .init(limit: memory, swap: limitsSwap ? memory : nil),
            cpu: .init(
                shares: shares, quota: Int64(cpus * Self.cpuPeriodMicroseconds), period: Self.cpuPeriodMicroseconds),
            pids: .init(limit: Self.processesMax))
    }

    private var openFiles: RuntimeSpec.Process.Limit {
        let hard = min(Self.openFilesHard, openFilesMax)
        return .init(type: "RLIMIT_NOFILE", soft: min(Self.openFilesSoft, hard), hard: hard)
    }

    var sharedMemory: ByteCount {
        let half = ByteCount(bytes: ByteCount.mebibytes(launch.config.guest.memoryMebibytes).bytes / 2)
        return min(max(half, Self.sharedMemoryMin), Self.sharedMemoryMax)
    }

    private func mounts() throws(RuntimeError) -> [RuntimeSpec.Mount] {
        var mounts: [RuntimeSpec.Mount] = [
            .init(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
            .init(
                destination: "/dev", type: "tmpfs", source: "tmpfs",
                options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            .init(
                destination: "/dev/pts", type: "devpts", source: "devpts",
                options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            .init(
                destination: "/dev/shm", type: "tmpfs", source: "shm",
                options: ["nosuid", "noexec", "nodev", "mode=1777", "size=\(sharedMemory.bytes)"]),
            .init(
                destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
            .init(
                destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
        ]
        mounts.append(
            .init(
                destination: Self.initPlace, type: "bind", source: initProgram,
                options: ["bind", "rprivate", "ro", "nosuid", "nodev"]))
        for name in Self.etcFiles {
            mounts.append(Self.bind("\(folders.etc)/\(name)", to: "/etc/\(name)", isReadOnly: false))
        }
        for disk in launch.disks {
            let parts = disk.target.split(separator: "/", omittingEmptySubsequences: true)
            guard disk.target.hasPrefix("/"), !parts.isEmpty, !parts.contains("..") else {
                throw RuntimeError(
                    code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                    cause: "'\(disk.target)' is no place to mount something: use an absolute path without '..'")
            }
            switch disk.attachment {
            case .folder(let path):
                mounts.append(Self.bind(path, to: disk.target, isReadOnly: disk.isReadOnly))
            }
        }
        switch launch.hostLink {
        case .unix(let folder):
            // A socket can be spoken to all the same, and nothing can be left on the host.
            mounts.append(
                .init(
                    destination: HostLink.place, type: "bind", source: folder,
                    options: ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]))
        case nil: break
        }
        return mounts
    }

    private var networkNamespace: String {
        switch launch.network.attachment {
        case .namespace(let path): path
        }
    }

    /// What a machine puts there gives nobody in it its rights. On the host the file's own folder, which is root's alone, keeps
    /// everybody from it.
    private static func bind(_ source: String, to target: String, isReadOnly: Bool) -> RuntimeSpec.Mount {
        .init(
            destination: target, type: "bind", source: source,
            options: ["rbind", "rprivate", "nosuid", "nodev", isReadOnly ? "ro" : "rw"])
    }

    // MARK: - Files of /etc

    static let etcFiles = ["hosts", "hostname", "resolv.conf"]

    /// What each of ``etcFiles`` says.
    func etcFile(_ name: String, nameservers: [String]) -> String {
        switch name {
        case "hosts": hostsFile
        case "hostname": launch.hostname + "\n"
        default: nameservers.map { "nameserver \($0)\n" }.joined()
        }
    }

    var hostsFile: String {
        """
        127.0.0.1 localhost
        ::1 localhost ip6-localhost ip6-loopback
        \(launch.network.address) \(launch.hostname)

        """
    }
}
