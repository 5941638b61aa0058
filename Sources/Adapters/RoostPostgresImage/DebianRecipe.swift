import Glibc
import RoostLinux

/// A root of Debian's packages. Its ``key`` changes with what goes in, and a new key means a new root.
public struct DebianRecipe: Sendable {
    var suite: String
    var packages: [String]

    /// - Parameters:
    ///   - suite: Debian's name of the release.
    ///   - packages: with what they depend on, and nothing that they only recommend.
    public init(suite: String, packages: [String]) {
        self.suite = suite
        self.packages = packages
    }

    /// The first package names the layer's purpose. libstdc++ is for `roost-pg`; libpq5 too, and for replication.
    static let postgres = DebianRecipe(
        suite: "trixie", packages: ["postgresql-17", "libpq5", "libstdc++6", "ca-certificates"])

    private static let mirrorDefault = "http://deb.debian.org/debian"
    private static let securityDefault = "http://deb.debian.org/debian-security"
    private static let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

    // The manual pages of psql must be there while its package is configured (update-alternatives wants them);
    // they go afterwards.
    private static let left = ["man", "doc", "locale", "info", "lintian", "groff"]
    private static let removedAfter =
        #"rm -rf "$1"/usr/share/postgresql/*/man "$1"/var/lib/apt/lists "$1"/var/cache/apt "$1"/var/cache/debconf "#
        + #""$1"/var/lib/dpkg/*-old "$1"/var/log/*.log "$1"/var/log/apt"#
    // Without this the package would run initdb at once.
    private static let noCluster =
        #"mkdir -p "$1/etc/postgresql-common" && "#
        + #"echo 'create_main_cluster = false' > "$1/etc/postgresql-common/createcluster.conf""#

    /// The same for the same recipe.
    public var key: String {
        RecipeKey.of([suite] + packages + Self.left + [Self.removedAfter, Self.noCluster])
    }

    /// Makes the root as a folder. It is there whole, or not at all.
    public func make(folder: String, deadline: Duration) async throws {
        let new = folder + ".new"
        try await Command("rm", ["-rf", "--one-file-system", new]).run()
        let arguments = [
            "--variant=essential", "--format=directory", "--essential-hook=\(Self.noCluster)",
            "--include=\(packages.joined(separator: ","))",
        ]
        try await bootstrap(arguments, to: new, deadline: deadline)
        guard rename(new, folder) == 0 else { throw SystemError("rename to", folder) }
    }

    func make(archive: String, deadline: Duration) async throws {
        var arguments = [
            "--variant=essential", "--format=tar", "--essential-hook=\(Self.noCluster)",
            "--customize-hook=\(Self.removedAfter)", "--include=\(packages.joined(separator: ","))",
        ]
        arguments += Self.left.map { "--dpkgopt=path-exclude=/usr/share/\($0)/*" }
        // Licences stay.
        arguments.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
        try await bootstrap(arguments, to: archive, deadline: deadline)
    }

    /// Runs mmdebstrap with what any root of this suite needs.
    func bootstrap(_ arguments: [String], to target: String, deadline: Duration) async throws {
        guard access(Self.keyring, R_OK) == 0 else { throw SystemError("open", Self.keyring) }
        var common = [
            "--mode=root", "--components=main", "--keyring=\(Self.keyring)",
            "--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"",
        ]
        if let proxy = try await proxy() { common.append("--aptopt=Acquire::http::Proxy \"\(proxy)\"") }
        let line = common + arguments + [suite, target]
        try await Command("mmdebstrap", line + sources(), deadline: deadline).run()
    }

    /// The mirrors this host's own apt uses, if they carry Debian.
    private func sources() async throws -> [String] {
        let output = try await Command("apt-get", ["indextargets", "--format", "$(SITE)"]).outcome()
        let sites = output.standardOutput.split(separator: "\n").map(String.init)
        let site = { (folder: String) in
            sites.first { $0.hasSuffix(folder) || $0.hasSuffix(folder + "/") }
        }
        return [
            "deb \(site("/debian") ?? Self.mirrorDefault) \(suite) main",
            "deb \(site("/debian-security") ?? Self.securityDefault) \(suite)-security main",
        ]
    }

    private func proxy() async throws -> String? {
        let output = try await Command("apt-config", ["shell", "PROXY", "Acquire::http::Proxy"]).run().standardOutput
        // PROXY='http://…'
        let parts = output.split(separator: "'", omittingEmptySubsequences: false)
        return parts.count >= 2 && !parts[1].isEmpty ? String(parts[1]) : nil
    }
}

/// What a layer's tag says of how it was made.
enum RecipeKey {
    /// FNV-1a over everything that shapes the layer.
    static func of(_ parts: [String]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in parts.joined(separator: "\n").utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
