import RoostLinux

/// Programs that read what strangers wrote (images, packets, other hosts' words), by the Debian package that brings them:
/// one with a hole that Debian has closed must not stay. The name on its first line says nothing of that, since Debian
/// mends old versions.
enum PackageVersion {
    /// The least that will do, as Debian 12 has them; of runc, with CVE-2024-21626 (a way out of a container) closed
    /// (https://security-tracker.debian.org/tracker/CVE-2024-21626).
    static let least: [Probe: (package: String, version: String)] = [
        .runc: ("runc", "1.1.5+ds1-1+deb12u1"), .crun: ("crun", "1.8.1-1"), .skopeo: ("skopeo", "1.9.3+ds1-1"),
        .umoci: ("umoci", "0.4.7+ds-3"), .etcd: ("etcd-server", "3.4.23-4"), .bird: ("bird2", "2.0.12-7"),
    ]

    /// What is wrong with the installed package; nil where nothing is, or where the program is none of a package's.
    static func fault(of probe: Probe) async -> String? {
        guard let least = least[probe] else { return nil }
        let asked = Command(
            "dpkg-query", ["-W", "-f", "${db:Status-Status} ${Version}", least.package], deadline: Probe.deadline)
        guard let output = try? await asked.outcome(), output.status == 0,
            let installed = installed(output.standardOutput)
        else { return nil }
        guard await isOlder(installed, than: least.version) else { return nil }
        return "\(least.package) \(installed) is older than \(least.version)"
    }

    /// The version of a package whose files are there. Of one that was removed dpkg remembers the version as long as its
    /// configuration is left, and of one that was never there it may know the name (dpkg-query(1), "Package states").
    static func installed(_ answer: String) -> String? {
        let words = answer.split(separator: " ")
        guard words.count == 2, words[0] != "config-files", words[0] != "not-installed" else { return nil }
        return String(words[1])
    }

    /// By the order of Debian's versions (deb-version(7)).
    static func isOlder(_ version: String, than other: String) async -> Bool {
        let compared = Command("dpkg", ["--compare-versions", version, "lt", other], deadline: Probe.deadline)
        return (try? await compared.outcome().status) == 0
    }
}
