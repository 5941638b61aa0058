import Glibc
import RoostLinux

/// How the library `roost_guard` is made, which each member's Postgres loads: from its source in this program, in a root of
/// the image's own Debian that is thrown away. Only the library goes into the image.
struct GuardRecipe: Sendable {
    /// Of the same suite as the image: the compiler and the headers fit its Postgres.
    var debian: DebianRecipe

    static let library = "/usr/lib/postgresql/17/lib/roost_guard.so"

    private static let source = PackageResources.roost_guard_c
    private static let packages = ["base-files", "gcc", "libc6-dev"]
    private static let headers = "postgresql-server-dev-17"
    private static let includes = "/usr/include/postgresql/17/server"
    // The package of headers needs the whole of LLVM for what is not used here: it is unpacked by itself.
    private static let fetchHeaders =
        #"cd "$1" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download "#
        + "\(headers) && dpkg-deb --extract \(headers)_*.deb ."
    // Warnings that Postgres's own headers cause are off.
    private static let flags = [
        "-std=gnu11", "-O2", "-fPIC", "-shared", "-Wl,-z,relro,-z,now", "-Wall", "-Wextra", "-Werror",
        "-Wno-unused-parameter", "-Wno-sign-compare", "-Wno-missing-field-initializers",
    ]
    static let compilerDeadline = Duration.seconds(60)

    /// Of the layer below it too.
    var key: String {
        let source = String(decoding: Self.source, as: UTF8.self)
        return RecipeKey.of([debian.key, source, Self.fetchHeaders] + Self.packages + Self.flags)
    }

    /// Makes a folder with the library at its place in a root file system, and nothing else.
    ///
    /// - Parameter work: a folder to work in; what is in it is removed.
    func make(folder: String, work: String, deadline: Duration) async throws {
        try await remove(work)
        try await remove(folder)
        // Unpacked only: a compiler needs no scripts of packages, and that saves most of the time.
        let arguments = [
            "--variant=extract", "--format=directory", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--include=\(Self.packages.joined(separator: ","))", "--extract-hook=\(Self.fetchHeaders)",
        ]
        try await debian.bootstrap(arguments, to: work, deadline: deadline)
        try await compile(in: work)
        let library = folder + Self.library
        try DurableFile.makeFolder(String(library[..<(library.lastIndex(of: "/") ?? library.endIndex)]))
        try await Command("mv", ["\(work)/roost_guard.so", library]).run()
        try await remove(work)
    }

    private func compile(in root: String) async throws {
        let source = "\(root)/roost_guard.c"
        try await BlockingCall.run { () throws(SystemError) in try DurableFile.write(Self.source, to: source) }
        try await Command(
            "chroot",
            [root, "/usr/bin/gcc"] + Self.flags
                + ["-I\(Self.includes)", "-o", "/roost_guard.so", "/roost_guard.c"],
            // The linker is looked for there.
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], deadline: Self.compilerDeadline
        ).run()
    }

    private func remove(_ folder: String) async throws {
        try await Command("rm", ["-rf", folder], deadline: Self.compilerDeadline).run()
    }
}
