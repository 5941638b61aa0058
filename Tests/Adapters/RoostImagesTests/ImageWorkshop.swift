import Glibc
import RoostImages
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

/// A folder of one test with a small root filesystem, an OCI layout made of it, and an image store.
struct ImageWorkshop: Sendable {
    let folder: String
    let images: OCIImageStore

    var root: String { folder + "/rootfs" }

    static func with(_ body: (ImageWorkshop) async throws -> Void) async throws {
        var generator = SystemRandomNumberGenerator()
        let name = "\(getpid())-\(String(UInt32.random(in: .min ... .max, using: &generator), radix: 36))"
        let folder = "/var/tmp/roost-images-test-\(name)"
        let workshop = ImageWorkshop(folder: folder, images: Self.store(in: folder))
        var failure: (any Error)?
        do {
            try workshop.makeRoot()
            try await body(workshop)
        } catch { failure = error }
        try await Command("rm", ["-rf", "--one-file-system", folder]).run()
        if let failure { throw failure }
    }

    /// Images may come from the workshop.
    /// - Parameter owner: the host whose store it is; nil: nobody says.
    static func store(
        in folder: String, limits: ImageLimits = ImageLimits(), owner: String? = nil
    ) -> OCIImageStore {
        OCIImageStore(
            directory: folder + "/images", folders: ImageFolders(allowed: [folder]), limits: limits, owner: owner,
            verifiesRegistryTLS: false)
    }

    private func makeRoot() throws {
        for part in ["bin", "etc", "tmp", "proc", "dev", "sys", "root"] {
            try DurableFile.makeFolder("\(root)/\(part)")
        }
        var generator = SystemRandomNumberGenerator()
        // Does not get smaller by compression: the layer is the largest of all blobs.
        let program = (0..<65536).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        try DurableFile.write(program, to: root + "/bin/sh", mode: 0o755)
        try DurableFile.write(
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1002::/home:/bin/sh\n", to: root + "/etc/passwd", mode: 0o644)
    }

    /// An OCI layout with the root as `layout:tag`; what it says of itself is all there.
    func makeLayout(tag: String, extra: String) async throws -> String {
        let layout = folder + "/layout"
        let bundle = folder + "/bundle-\(tag)"
        let image = "\(layout):\(tag)"
        if access(layout, F_OK) != 0 { try await Command("umoci", ["init", "--layout", layout]).run() }
        try await Command("umoci", ["new", "--image", image]).run()
        try await Command("umoci", ["unpack", "--image", image, bundle]).run()
        try await Command("cp", ["-a", root + "/.", bundle + "/rootfs/"]).run()
        try DurableFile.write(extra, to: bundle + "/rootfs/extra", mode: 0o644)
        try await Command("umoci", ["repack", "--image", image, bundle]).run()
        try await Command(
            "umoci",
            [
                "config", "--image", image, "--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c",
                "--config.cmd", "id; pwd; cat /extra; echo $ONE", "--config.env", "ONE=1", "--config.user", "alice",
                "--config.workingdir", "/tmp", "--config.stopsignal", "SIGQUIT",
            ]
        ).run()
        return image
    }
}

/// The error of a call that has to fail.
func refusal(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async -> RuntimeError? {
    do {
        try await body()
        Issue.record("nothing was refused", sourceLocation: sourceLocation)
        return nil
    } catch let error as RuntimeError {
        return error
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
        return nil
    }
}
