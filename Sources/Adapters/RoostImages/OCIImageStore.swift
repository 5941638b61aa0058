import Crypto
import Glibc
public import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Images unpacked once per computer, each in a folder named by its manifest's digest:
///
///     <directory>/sha256-<hex>/rootfs        read-only from then on
///     <directory>/sha256-<hex>/image.json    what the image says of itself
///
/// A folder gets that name by a rename when all of it is on disk, so what has the name is complete. Several hosts of
/// a lab may share one directory: work on one image is done under a lock that dies with its holder.
public struct OCIImageStore: ImageStore {
    public let directory: String
    let verifiesTLS: Bool
    let logger: Logger

    public static let pullDeadline = Duration.seconds(900)
    public static let unpackDeadline = Duration.seconds(900)
    public static let inspectDeadline = Duration.seconds(20)
    static let lockPatience = Duration.seconds(1800)
    static let pathDefault = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// - Parameter verifiesRegistryTLS: false only for a registry of one's own that speaks plain HTTP.
    public init(
        directory: String, verifiesRegistryTLS: Bool = true, logger: Logger = Logger(label: "roost.images")
    ) {
        self.directory = directory
        verifiesTLS = verifiesRegistryTLS
        self.logger = logger
    }

    public func check(_ image: ImageReference) async throws(RuntimeError) {}

    public func ensure(_ image: ImageReference) async throws(RuntimeError) -> UnpackedImage {
        switch image.source {
        case .directory(let path): return try plainFolder(path, image)
        case .layout(let path, let tag):
            let layout = OCILayout(path: path)
            return try await unpacked(try layout.manifest(tag: tag, for: image.description), of: layout, image)
        case .registry(let name): return try await fromRegistry(name, image)
        }
    }

    // MARK: - A folder as it is

    private func plainFolder(_ path: String, _ image: ImageReference) throws(RuntimeError) -> UnpackedImage {
        guard let resolved = realpath(path, nil) else {
            throw RuntimeError(
                code: .imageNotFound, operation: "find the image", subject: image.description,
                cause: "there is no folder \(path)")
        }
        defer { free(resolved) }
        let root = String(cString: resolved)
        var folder = stat()
        guard stat(root, &folder) == 0, folder.st_mode & S_IFMT == S_IFDIR, root != "/" else {
            throw RuntimeError(
                code: .imageInvalid, operation: "find the image", subject: image.description,
                cause: "\(root) cannot be the root of a machine: name a folder that holds one")
        }
        let time = folder.st_mtim
        let name = "\(root)\n\(folder.st_dev) \(folder.st_ino) \(time.tv_sec) \(time.tv_nsec)"
        return UnpackedImage(
            digest: "sha256:" + Self.hash(name), rootPath: root, entrypoint: [], command: [],
            environment: [Self.pathDefault], workingDirectory: "/", user: "", stopSignal: nil)
    }

    // MARK: - Unpacking

    func unpacked(
        _ manifest: OCILayout.Descriptor, of layout: OCILayout, _ image: ImageReference
    ) async throws(RuntimeError) -> UnpackedImage {
        let digest = try ImageDigest(manifest.digest, of: image.description)
        if let ready = try ready(digest) { return ready }
        return try await locked("sha256-\(digest.hex)", image) { () throws(RuntimeError) in
            if let ready = try ready(digest) { return ready }
            let half = "\(directory)/.unpacking-\(digest.hex)"
            try await removeFolder(half, image)
            do throws(RuntimeError) {
                try await unpack(manifest, of: layout, into: half, image)
                try await publish(half, as: digest, image)
            } catch {
                try? await removeFolder(half, image)
                throw error
            }
            guard let ready = try ready(digest) else {
                throw RuntimeError(
                    code: .failed, operation: "unpack", subject: image.description,
                    cause: "\(folder(digest)) vanished while it was made")
            }
            logger.info("image unpacked", metadata: ["image": "\(image)", "digest": "\(digest.text)"])
            return ready
        }
    }

    private func folder(_ digest: ImageDigest) -> String { "\(directory)/sha256-\(digest.hex)" }

    /// The image if all of it is there.
    func ready(_ digest: ImageDigest) throws(RuntimeError) -> UnpackedImage? {
        guard let record = try Self.read(ImageRecord.self, from: folder(digest) + "/image.json") else { return nil }
        return record.image(digest: digest.text, rootPath: folder(digest) + "/rootfs")
    }

    private func unpack(
        _ manifest: OCILayout.Descriptor, of layout: OCILayout, into half: String, _ image: ImageReference
    ) async throws(RuntimeError) {
        let record = ImageRecord(try layout.settings(of: manifest, for: image.description))
        // A view of the layout with this one manifest: whoever moves the tag meanwhile does not change what we unpack.
        let view = half + "/view"
        try report("unpack", image) { () throws(SystemError) in
            try DurableFile.makeFolder(view)
            guard symlink(layout.path + "/blobs", view + "/blobs") == 0 else { throw SystemError("link", view) }
            try DurableFile.write(#"{"imageLayoutVersion":"1.0.0"}"#, to: view + "/oci-layout")
        }
        var named = manifest
        named.annotations = [OCILayout.tagAnnotation: "image"]
        try Self.write(OCILayout.Index(manifests: [named]), to: view + "/index.json")
        try await command(
            "unpack", image, .imageInvalid,
            Command(
                "umoci", ["raw", "unpack", "--image", view + ":image", half + "/rootfs"], deadline: Self.unpackDeadline)
        )
        try await removeFolder(view, image)
        try Self.write(record, to: half + "/image.json")
    }

    private func publish(_ half: String, as digest: ImageDigest, _ image: ImageReference) async throws(RuntimeError) {
        // The name must not reach the disk before the files do.
        try await command("flush", image, .failed, Command("sync", ["-f", half], deadline: Self.unpackDeadline))
        let final = folder(digest)
        try report("publish", image) { () throws(SystemError) in
            guard rename(half, final) == 0 else { throw SystemError("rename to", final) }
            let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard file >= 0 else { throw SystemError("open folder", directory) }
            defer { close(file) }
            guard fsync(file) == 0 else { throw SystemError("flush folder", directory) }
        }
    }

    // MARK: - Small parts

    static func read<Value: Decodable>(_ type: Value.Type, from path: String) throws(RuntimeError) -> Value? {
        do { return try JSONFile.read(type, from: path) } catch {
            throw RuntimeError(code: .failed, operation: "read", subject: path, cause: "\(error.cause)")
        }
    }

    static func write(_ value: some Encodable, to path: String) throws(RuntimeError) {
        do { try JSONFile.write(value, to: path) } catch {
            throw RuntimeError(code: .failed, operation: "write", subject: path, cause: "\(error.cause)")
        }
    }

    static func hash(_ text: String) -> String {
        SHA256.hash(data: Array(text.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 2 ? digits : "0" + digits
        }.joined()
    }

    func locked<Value: Sendable>(
        _ name: String, _ image: ImageReference, _ body: () async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        let lock: FileLock
        do throws(SystemError) {
            try DurableFile.makeFolder(directory)
            lock = try await FileLock.acquire("\(directory)/.\(name).lock", within: Self.lockPatience)
        } catch {
            throw RuntimeError(
                code: error.code == ETIMEDOUT ? .deadlineExceeded : .failed, operation: "wait for the image",
                subject: image.description, cause: error.description)
        }
        defer { lock.release() }
        return try await body()
    }

    func removeFolder(_ path: String, _ image: ImageReference) async throws(RuntimeError) {
        guard access(path, F_OK) == 0 else { return }
        try await command("clear", image, .failed, Command("rm", ["-rf", "--one-file-system", path]))
    }

    @discardableResult
    func command(
        _ operation: String, _ image: ImageReference, _ code: RuntimeError.Code, _ command: Command
    ) async throws(RuntimeError) -> Command.Output {
        do { return try await command.run() } catch {
            throw RuntimeError(
                code: code, operation: operation, subject: image.description, cause: error.description)
        }
    }

    private func report<Value>(
        _ operation: String, _ image: ImageReference, _ body: () throws(SystemError) -> Value
    ) throws(RuntimeError) -> Value {
        do { return try body() } catch {
            throw RuntimeError(
                code: error.code == ENOSPC ? .noSpace : .failed, operation: operation, subject: image.description,
                cause: error.description)
        }
    }
}

/// What an image says of itself, kept beside its root.
struct ImageRecord: Codable {
    var entrypoint: [String]
    var command: [String]
    var environment: [String]
    var workingDirectory: String
    var user: String
    var stopSignal: String?

    init(_ settings: OCILayout.ImageFile.Settings?) {
        entrypoint = settings?.entrypoint ?? []
        command = settings?.command ?? []
        environment = settings?.environment ?? []
        if !environment.contains(where: { $0.hasPrefix("PATH=") }) { environment.append(OCIImageStore.pathDefault) }
        let directory = settings?.workingDirectory ?? ""
        workingDirectory = directory.hasPrefix("/") ? directory : "/" + directory
        user = settings?.user ?? ""
        stopSignal = settings?.stopSignal.flatMap { $0.isEmpty ? nil : $0 }
    }

    func image(digest: String, rootPath: String) -> UnpackedImage {
        UnpackedImage(
            digest: digest, rootPath: rootPath, entrypoint: entrypoint, command: command, environment: environment,
            workingDirectory: workingDirectory, user: user, stopSignal: stopSignal)
    }
}
