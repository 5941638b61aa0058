/// What Roost needs of a computer, why, and what it does without. Pure: probes answer elsewhere.
struct Requirement: Sendable {
    enum Need: Sendable {
        /// Nothing works without it.
        case always
        /// Needed unless another probe works.
        case unless(Probe)
        /// Roost uses something else instead, which has a requirement of its own.
        case replaced(by: String)
        /// Only to measure Roost against others.
        case forBench
        /// Only to build Roost from source.
        case forBuild
        /// Nothing in this version uses it.
        case notUsed
    }

    var probe: Probe
    var name: String
    var purpose: String
    var need: Need
    var packages: [String]

    init(_ probe: Probe, _ name: String, for purpose: String, _ need: Need, packages: String...) {
        self.probe = probe
        self.name = name
        self.purpose = purpose
        self.need = need
        self.packages = packages
    }

    static let all: [Requirement] = [
        .init(.root, "root", for: "namespaces, mounts, packet filters", .always),
        .init(.namespaces, "namespaces", for: "machines and the lab", .always, packages: "util-linux"),
        .init(.cgroup, "cgroups", for: "limits of CPU and memory", .always),
        .init(.seccomp, "seccomp", for: "system calls a machine may not make", .always),
        .init(.overlay, "overlayfs", for: "a machine's root", .always),
        .init(.loop, "loop devices, ext4", for: "volumes", .always, packages: "e2fsprogs", "mount"),
        .init(.nftables, "nftables", for: "isolation of machines", .always, packages: "nftables"),
        .init(.iproute, "iproute2", for: "addresses and routes", .always, packages: "iproute2"),
        .init(
            .wireguard, "WireGuard module", for: "the mesh",
            .replaced(by: "wireguard-go, in user space: more CPU for each packet")),
        .init(.wireguardGo, "wireguard-go", for: "the mesh", .unless(.wireguard), packages: "wireguard-go"),
        .init(.tun, "TUN devices", for: "the mesh", .unless(.wireguard)),
        .init(.wireguardTools, "wg", for: "the mesh", .always, packages: "wireguard-tools"),
        .init(.netem, "netem", for: "delays and loss in the lab", .replaced(by: "roost-wan, in user space")),
        .init(.crun, "crun", for: "machines, instead of runc", .replaced(by: "runc")),
        .init(.runc, "runc", for: "machines", .always, packages: "runc"),
        .init(.conmon, "conmon", for: "machines", .always, packages: "conmon"),
        .init(.skopeo, "skopeo", for: "images", .always, packages: "skopeo"),
        .init(.umoci, "umoci", for: "images", .always, packages: "umoci"),
        .init(.openssl, "openssl", for: "certificates of clusters", .always, packages: "openssl"),
        .init(.sysctl, "sysctl", for: "hosts of a lab", .always, packages: "procps"),
        .init(
            .mmdebstrap, "mmdebstrap", for: "the Postgres image", .always,
            packages: "mmdebstrap", "debian-archive-keyring"),
        .init(.strip, "strip", for: "the Postgres image", .always, packages: "binutils"),
        .init(.etcd, "etcd", for: "the store of several hosts", .always, packages: "etcd-server"),
        .init(.bird, "BIRD", for: "anycast", .always, packages: "bird2"),
        .init(
            .psql, "psql", for: "roost pg connect, the demo (\\l and pg_dump: 17)", .always,
            packages: "postgresql-client"),
        .init(.tini, "tini", for: "process 1 of machines, hosts of a lab", .always, packages: "tini"),
        .init(.runit, "runit", for: "hosts of a lab", .always, packages: "runit"),
        .init(.reflink, "shared extents", for: "copies of volumes at once (XFS, btrfs)", .notUsed),
        .init(.kvm, "KVM", for: "machines with a kernel of their own", .notUsed),
        .init(.podman, "podman", for: "make bench", .forBench, packages: "podman"),
        .init(.haproxy, "HAProxy", for: "make bench", .forBench, packages: "haproxy"),
        .init(.pgbench, "pgbench", for: "make bench", .forBench, packages: "postgresql"),
        .init(.fio, "fio", for: "make bench", .forBench, packages: "fio"),
        .init(.swift, "Swift", for: "make build", .forBuild),
        .init(.libpq, "libpq headers", for: "make build", .forBuild, packages: "libpq-dev"),
        .init(.sqlite, "SQLite headers", for: "make build", .forBuild, packages: "libsqlite3-dev"),
        .init(.pkgConfig, "pkg-config", for: "make build", .forBuild, packages: "pkg-config"),
    ]
}

/// What `roost doctor` found, for people and programs.
struct Diagnosis: Sendable, Encodable {
    enum Status: String, Sendable, Encodable {
        case works
        /// It is not there, and Roost uses something else.
        case replaced
        /// It is needed and not there.
        case missing
        /// It is not there, and only building or measuring Roost would need it.
        case absent
        /// This version makes no use of it, there or not.
        case unused
    }

    struct Finding: Sendable, Encodable {
        var name: String
        var status: Status
        var purpose: String
        /// What the probe saw.
        var found: String
        /// What Roost uses for the purpose on this computer.
        var uses: String?
        /// Debian packages that would bring it.
        var packages: [String]
    }

    var ready: Bool
    /// The line that installs what is missing; nil if packages cannot help or nothing is missing.
    var install: String?
    var findings: [Finding]

    init(_ answers: [Probe: Probe.Answer], requirements: [Requirement] = Requirement.all) {
        findings = requirements.map { requirement in
            let answer = answers[requirement.probe] ?? .no("not asked")
            let status = Self.status(requirement.need, answer, answers)
            return Finding(
                name: requirement.name, status: status, purpose: requirement.purpose, found: answer.detail,
                uses: Self.uses(requirement, status, answers),
                packages: status == .missing || status == .absent ? requirement.packages : [])
        }
        ready = !findings.contains { $0.status == .missing }
        var packages: [String] = []
        for package in findings.filter({ $0.status == .missing || $0.status == .absent }).flatMap(\.packages)
        where !packages.contains(package) {
            packages.append(package)
        }
        install =
            packages.isEmpty ? nil : "apt-get install -y --no-install-recommends " + packages.joined(separator: " ")
    }

    private static func status(
        _ need: Requirement.Need, _ answer: Probe.Answer, _ answers: [Probe: Probe.Answer]
    ) -> Status {
        switch need {
        case .always: answer.works ? .works : .missing
        case .unless(let other):
            answer.works ? .works : answers[other]?.works == true ? .unused : .missing
        case .replaced: answer.works ? .works : .replaced
        case .forBench, .forBuild: answer.works ? .works : .absent
        case .notUsed: .unused
        }
    }

    private static func uses(
        _ requirement: Requirement, _ status: Status, _ answers: [Probe: Probe.Answer]
    ) -> String? {
        if case .replaced(let other) = requirement.need, status == .replaced { return other }
        return nil
    }
}
