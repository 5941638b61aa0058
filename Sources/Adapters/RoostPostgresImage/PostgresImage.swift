import Glibc
import RoostLinux
import RoostModel

/// The machine image of a cluster's members: PostgreSQL from Debian's packages, and `roost-pg` as process 1.
///
/// It is an OCI layout of three layers. The Debian layer and that of the library `roost_guard` on it are made once for each
/// recipe and kept under tags of their own; the third holds only `roost-pg`, so a new program is a new image in a second or
/// two. A tag moves only when all it names is on disk, so a build that dies leaves the image as it was.
public struct PostgresImage: Sendable {
    /// The folder of the OCI layout.
    public let layout: String
    public let tag: String
    /// While it is built.
    private var lock: FileLock?

    public static let layoutDefault = "/var/lib/roost/postgres-image"
    public static let tagDefault = "17"
    public static let debianDeadline = Duration.seconds(900)
    static let packingDeadline = Duration.seconds(300)

    public init(layout: String = layoutDefault, tag: String = tagDefault) {
        self.layout = layout
        self.tag = tag
    }

    public enum Outcome: String, Sendable {
        case unchanged
        /// A new `roost-pg` on the Debian layer that was there.
        case programRenewed = "program_renewed"
        case built
    }

    /// Makes the image at `layout:tag`, or leaves it if it is already what it should be.
    ///
    /// - Parameters:
    ///   - program: the `roost-pg` to put in, linked with `--static-swift-stdlib`.
    ///   - refresh: make the layers below it anew even if the recipe has not changed, for newer packages.
    ///   - report: told in words what begins now.
    @discardableResult
    public static func build(
        to layout: String = layoutDefault, tag: String = tagDefault, program: String, refresh: Bool = false,
        report: @Sendable (String) -> Void = { _ in }
    ) async throws(PostgresImageError) -> Outcome {
        var image = PostgresImage(layout: layout, tag: tag)
        do {
            try DurableFile.makeFolder(layout)
            let lock = try await lock(layout, report)
            defer { lock.release() }
            image.lock = lock
            return try await image.build(program: program, refresh: refresh, report: report)
        } catch {
            throw PostgresImageError(image: "\(layout):\(tag)", cause: "\(error)")
        }
    }

    /// One build at a time. The programs that write the layout have the lock too: what a build that died has begun is gone
    /// before the next one begins.
    private static func lock(_ layout: String, _ report: (String) -> Void) async throws(SystemError) -> FileLock {
        let path = layout + "/build.lock"
        if let lock = try FileLock.attempt(path) { return lock }
        report("waiting for another build of the image")
        return try await FileLock.acquire(path, within: debianDeadline)
    }

    /// The image as machines name it.
    public var reference: String { "oci:\(layout):\(tag)" }

    private func build(program: String, refresh: Bool, report: (String) -> Void) async throws -> Outcome {
        let recipe = GuardRecipe(debian: .postgres)
        let debian = "debian-\(recipe.debian.key)"
        let base = "guard-\(recipe.key)"
        try await checkProgram(program)
        try await sweep()
        let digest = try await sum(program)
        let stamp = "\(base) \(digest)\n"
        let tags = try await tags()
        let hasDebian = tags.contains(debian) && !refresh
        let hasBase = tags.contains(base) && hasDebian
        if tags.contains(tag), hasBase, try text(stampFile) == stamp { return .unchanged }

        if !hasBase { try await makeBase(recipe, tag: base, on: debian, hasDebian: hasDebian, report: report) }
        report("adding \(program)")
        try await addProgram(program, to: base)
        let stampFile = stampFile
        try await BlockingCall.run { () throws(SystemError) in
            try DurableFile.write(stamp, to: stampFile, mode: 0o644)
        }
        for old in try await self.tags() where Self.isOfALayer(old) && ![debian, base].contains(old) {
            try await remove(tag: old)
        }
        try await umoci(["gc", "--layout", layout])
        return hasBase ? .programRenewed : .built
    }

    /// What builds that died have left. One whose `mmdebstrap` goes on writes to names that nobody reads any more.
    private func sweep() async throws {
        for name in try FolderListing.names(in: layout) where name.hasPrefix("debian.") || name.hasPrefix("guard.") {
            try await write("rm", ["-rf", "--one-file-system", "\(layout)/\(name)"])
        }
    }

    /// A name in the layout's folder that no other build ever has.
    private func workName(_ what: String) -> String {
        var generator = SystemRandomNumberGenerator()
        return "\(layout)/\(what).\(String(UInt64.random(in: .min ... .max, using: &generator), radix: 16))"
    }

    private static func isOfALayer(_ tag: String) -> Bool { tag.hasPrefix("debian-") || tag.hasPrefix("guard-") }

    private func makeBase(
        _ recipe: GuardRecipe, tag base: String, on debian: String, hasDebian: Bool, report: (String) -> Void
    ) async throws {
        let folder = workName("guard")
        let archive = "\(folder).tar"
        defer { unlink(archive) }
        if hasDebian { report("fetching a compiler for roost_guard, and compiling it (half a minute)") }
        // Both wait for the mirror most of the time.
        async let library: Void = recipe.make(folder: folder, work: "\(folder).root", deadline: Self.debianDeadline)
        if !hasDebian { try await makeDebian(recipe.debian, tag: debian, report: report) }
        try await library
        try await pack(folder, to: archive)
        try await remove(tag: "\(base).new")
        try await umoci(["raw", "add-layer", "--image", "\(layout):\(debian)", "--tag", "\(base).new", archive])
        try await umoci(["tag", "--image", "\(layout):\(base).new", base])
        try await remove(tag: "\(base).new")
    }

    private func makeDebian(_ recipe: DebianRecipe, tag: String, report: (String) -> Void) async throws {
        let archive = workName("debian")
        defer { unlink(archive) }
        report("fetching and unpacking Debian \(recipe.suite) with \(recipe.packages[0]) (a minute or two)")
        try await recipe.make(archive: archive, deadline: Self.debianDeadline)
        report("packing the Debian layer")
        try await initialise()
        try await remove(tag: "\(tag).new")
        try await umoci(["new", "--image", "\(layout):\(tag).new"])
        try await umoci(["raw", "add-layer", "--image", "\(layout):\(tag).new", archive])
        try await umoci(["tag", "--image", "\(layout):\(tag).new", tag])
        try await remove(tag: "\(tag).new")
    }

    /// The same bytes for the same files, whenever and by whom they were made. Removes the folder.
    private func pack(_ folder: String, to archive: String) async throws {
        try await write(
            "tar",
            [
                "--create", "--file", archive, "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner",
                "--mode=u=rwX,go=rX", "--directory", folder, "usr",
            ])
        try await write("rm", ["-rf", folder])
    }

    private func addProgram(_ program: String, to base: String) async throws {
        let folder = "\(layout)/program.new"
        let archive = "\(folder).tar"
        let installed = "\(folder)/usr/local/bin/roost-pg"
        defer { unlink(archive) }
        try await write("rm", ["-rf", folder])
        try DurableFile.makeFolder("\(folder)/usr/local/bin")
        // Debug information would be nine tenths of the layer.
        try await write("strip", ["-o", installed, program])
        try await write("chmod", ["755", installed])
        try await pack(folder, to: archive)
        let new = "\(layout):\(tag).new"
        try await umoci(["raw", "add-layer", "--image", "\(layout):\(base)", "--tag", "\(tag).new", archive])
        try await umoci([
            "config", "--image", new, "--config.entrypoint", "/usr/local/bin/roost-pg", "--config.entrypoint", "run",
            "--config.env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--config.env",
            "LANG=C.UTF-8", "--config.stopsignal", "SIGTERM", "--config.volume", "/data", "--config.workingdir", "/",
        ])
        try await umoci(["tag", "--image", new, tag])
        try await remove(tag: "\(tag).new")
    }

    // MARK: - The layout

    private var stampFile: String { "\(layout)/roost-\(tag).stamp" }

    private func initialise() async throws {
        if try DurableFile.exists("\(layout)/oci-layout") { return }
        // umoci wants to make the folder itself: it makes it beside, and the parts move in, the mark of a layout last.
        let fresh = "\(layout)/layout.new"
        try await write("rm", ["-rf", fresh])
        try await umoci(["init", "--layout", fresh])
        for part in ["blobs", "index.json", "oci-layout"] {
            guard rename("\(fresh)/\(part)", "\(layout)/\(part)") == 0 else { throw SystemError("rename", part) }
        }
        rmdir(fresh)
    }

    private func tags() async throws -> [String] {
        guard try DurableFile.exists("\(layout)/oci-layout") else { return [] }
        let output = try await Command("umoci", ["list", "--layout", layout]).run()
        return output.standardOutput.split(separator: "\n").map(String.init)
    }

    private func remove(tag: String) async throws {
        if try await tags().contains(tag) { try await umoci(["remove", "--image", "\(layout):\(tag)"]) }
    }

    private func umoci(_ arguments: [String]) async throws {
        try await write("umoci", arguments)
    }

    private func write(_ program: String, _ arguments: [String]) async throws {
        try await Command(program, arguments, deadline: Self.packingDeadline).bound(to: lock).run()
    }

    // MARK: - The program

    private func checkProgram(_ program: String) async throws {
        guard access(program, R_OK | X_OK) == 0 else { throw SystemError("open", program) }
        let libraries = try await Command("ldd", [program]).run().standardOutput
        guard !libraries.contains("libswiftCore") else {
            throw PostgresImageError(
                image: "\(layout):\(tag)",
                cause: "\(program) needs the Swift libraries, which the image lacks: link it with --static-swift-stdlib"
            )
        }
    }

    private func sum(_ path: String) async throws -> String {
        let output = try await Command("sha256sum", [path]).run().standardOutput
        return String(output.prefix { $0 != " " })
    }

    private func text(_ path: String) throws -> String? {
        try DurableFile.read(path).map { String(decoding: $0, as: UTF8.self) }
    }
}

public struct PostgresImageError: Error, CustomStringConvertible {
    public let image: String
    public let cause: String

    public var description: String { "could not make the image \(image): \(cause)" }
}
