import Glibc
public import Logging
import RoostCrypto
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Images unpacked once per computer, each in a folder named by its manifest's digest:
///
///     <directory>/sha256-<hex>/rootfs        read-only from then on
///     <directory>/sha256-<hex>/image.json    what the image says of itself
///
/// A folder gets that name by a rename when all of it is on disk, so what has the name is complete. Several hosts of
/// a lab may share one directory: work on one image is done under a lock that goes when its holder, and the programs that
/// it has started, are gone.
public struct OCIImageStore: ImageStore {
    public let directory: String
    public let folders: ImageFolders
    public let limits: ImageLimits
    let owner: String?
    let verifiesTLS: Bool
    let shortages = SharedShortages()
    let logger: Logger

    static let pullDeadline = Duration.seconds(900)
    public static let unpackDeadline = Duration.seconds(900)
    public static let inspectDeadline = Duration.seconds(20)
    static let lockPatience = Duration.seconds(1800)
    static let pathDefault = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// - Parameters:
    ///   - folders: which folders of the host may be images; without them, none.
    ///   - owner: whose launches use the images, and what is known of those in use: a name that is no other host's, with
    ///     its `state_dir`. Without one nothing is ever collected.
    ///   - verifiesRegistryTLS: false only for a registry of one's own that speaks plain HTTP.
    public init(
        directory: String, folders: ImageFolders = ImageFolders(), limits: ImageLimits = ImageLimits(),
        owner: String? = nil, verifiesRegistryTLS: Bool = true, logger: Logger = Logger(label: "roost.images")
    ) {
        self.directory = directory
        self.folders = folders
        self.limits = limits
        self.owner = owner
        verifiesTLS = verifiesRegistryTLS
        self.logger = logger
    }

    public func check(_ image: ImageReference) async throws(RuntimeError) {
        switch image.source {
        case .directory(let path), .layout(let path, _):
            try await BlockingCall.run { () throws(RuntimeError) in try folders.check(path, for: image) }
        case .registry: break
        }
    }

    /// Fetches and unpacks unless it is already there. Unless it is held it may be collected at any time.
    func ensure(_ image: ImageReference) async throws(RuntimeError) -> UnpackedImage {
        try await check(image)
        switch image.source {
        case .directory(let path):
            return try await BlockingCall.run { () throws(RuntimeError) in try plainFolder(path, image) }
        case .layout(let path, let tag):
            let layout = OCILayout(path: path)
            let manifest = try await BlockingCall.run { () throws(RuntimeError) in
                try layout.manifest(tag: tag, for: image.description)
            }
            return try await unpacked(manifest, of: layout, image)
        case .registry(let name): return try await fromRegistry(name, image)
        }
    }

    // MARK: - A folder as it is

    private func plainFolder(_ path: String, _ image: ImageReference) throws(RuntimeError) -> UnpackedImage {
        var folder = stat()
        guard stat(path, &folder) == 0 else {
            throw RuntimeError(
                code: .imageNotFound, operation: "find the image", subject: image.description,
                cause: "there is no folder \(path)")
        }
        guard folder.st_mode & S_IFMT == S_IFDIR else {
            throw RuntimeError(
                code: .imageInvalid, operation: "find the image", subject: image.description,
                cause: "\(path) cannot be the root of a machine: name a folder that holds one")
        }
        let time = folder.st_mtim
        let name = "\(path)\n\(folder.st_dev) \(folder.st_ino) \(time.tv_sec) \(time.tv_nsec)"
        return UnpackedImage(
            digest: "sha256:" + Digest.text(of: name), rootPath: path, entrypoint: [], command: [],
            environment: [Self.pathDefault], workingDirectory: "/", user: "", stopSignal: nil)
    }

    // MARK: - Unpacking

    func unpacked(_ descriptor: OCILayout.Descriptor, of layout: OCILayout, _ image: ImageReference)
        async throws(RuntimeError) -> UnpackedImage
    {
        let digest = try ImageDigest(descriptor.digest, of: image.description)
        if let ready = try await ready(digest, image) { return ready }
        return try await locked("sha256-\(digest.hex)", image) { (lock) throws(RuntimeError) in
            if let ready = try await ready(digest, image) { return ready }
            try await requirePlace(of: digest, image)
            // Nobody removes it before it was seen whole here.
            let hold = try await hold(digest, image)
            defer { hold.release() }
            let half = "\(directory)/.unpacking-\(digest.hex)"
            try await removeFolder(half, image, lock)
            do throws(RuntimeError) {
                try await unpack(descriptor, of: layout, into: half, image, lock)
                try await publish(half, as: digest, image, lock)
            } catch {
                try? await removeFolder(half, image, lock)
                throw error
            }
            guard let ready = try await ready(digest, image) else {
                throw RuntimeError(
                    code: .failed, operation: "unpack", subject: image.description,
                    cause: "it vanished while it was made")
            }
            shortages.withLock { $0.forget(digest.text) }
            logger.info("image unpacked", metadata: ["image": "\(image)", "digest": "\(digest.text)"])
            return ready
        }
    }

    func folder(_ digest: ImageDigest) -> String { "\(directory)/sha256-\(digest.hex)" }

    /// The image if all of it is there.
    func ready(_ digest: ImageDigest, _ image: ImageReference) async throws(RuntimeError) -> UnpackedImage? {
        let folder = folder(digest)
        guard let record = try await read(ImageRecord.self, from: folder + "/image.json", image) else { return nil }
        return record.image(digest: digest.text, rootPath: folder + "/rootfs")
    }

    private func unpack(
        _ descriptor: OCILayout.Descriptor, of layout: OCILayout, into half: String, _ image: ImageReference,
        _ lock: FileLock
    ) async throws(RuntimeError) {
        let (manifest, settings) = try await BlockingCall.run {
            () throws(RuntimeError) -> (OCILayout.Manifest, OCILayout.ImageFile.Settings?) in
            let manifest = try layout.manifest(descriptor, for: image.description)
            return (manifest, try layout.settings(of: manifest, for: image.description))
        }
        try await requireParts(of: manifest, in: layout, image)
        let isRepacked = try needsRepacking(manifest, image)
        try await requireSpace(try size(of: manifest, image), image)
        // A view of the layout with this one manifest: whoever moves the tag meanwhile does not change what we unpack.
        let view = half + "/view"
        try await makeView(of: layout, descriptor, at: view, image)
        do throws(RuntimeError) {
            try await unpackLayers(view, into: half, isRepacked: isRepacked, content: descriptor.digest, image, lock)
        } catch {
            // What somebody has cleared away meanwhile is no fault of the image.
            if error.isPermanent { try await requireParts(of: manifest, in: layout, image) }
            throw error
        }
        try await clean(half + "/rootfs", image)
        for folder in [view, half + "/repacked"] { try await removeFolder(folder, image, lock) }
        try await write(ImageRecord(settings), to: half + "/image.json", image)
    }

    private func requireParts(
        of manifest: OCILayout.Manifest, in layout: OCILayout, _ image: ImageReference
    ) async throws(RuntimeError) {
        try await BlockingCall.run { () throws(RuntimeError) in
            try layout.requireParts(of: manifest, for: image.description)
        }
    }

    private func unpackLayers(
        _ view: String, into half: String, isRepacked: Bool, content: String, _ image: ImageReference, _ lock: FileLock
    ) async throws(RuntimeError) {
        let source = isRepacked ? half + "/repacked" : view
        if isRepacked {
            try await work("repack", image, content: content, into: half, .imageInvalid) {
                Command(
                    "skopeo",
                    ["copy", "--quiet", "--dest-compress-format", "gzip", "oci:\(view):image", "oci:\(source):image"],
                    deadline: Self.unpackDeadline
                ).bound(to: lock)
            }
        }
        try await work("unpack", image, content: content, into: half, .imageInvalid) {
            Command(
                "umoci", ["raw", "unpack", "--image", source + ":image", half + "/rootfs"],
                deadline: Self.unpackDeadline
            ).bound(to: lock)
        }
    }

    private func makeView(
        of layout: OCILayout, _ descriptor: OCILayout.Descriptor, at view: String, _ image: ImageReference
    ) async throws(RuntimeError) {
        try await report("unpack", image) { () throws(SystemError) in
            try DurableFile.makeFolder(view)
            guard symlink(layout.path + "/blobs", view + "/blobs") == 0 else { throw SystemError("link", view) }
            try DurableFile.write(#"{"imageLayoutVersion":"1.0.0"}"#, to: view + "/oci-layout")
        }
        var named = descriptor
        named.annotations = [OCILayout.tagAnnotation: "image"]
        try await write(OCILayout.Index(manifests: [named]), to: view + "/index.json", image)
    }

    private func clean(_ root: String, _ image: ImageReference) async throws(RuntimeError) {
        let limits = limits
        let outcome = await BlockingCall.run { () -> Result<ImageTree.Census, ImageTree.Failure> in
            Result { () throws(ImageTree.Failure) in
                try ImageTree.clean(root, filesMax: limits.filesMax, bytesMax: limits.unpackedMax.bytes)
            }
        }
        switch outcome {
        case .success(let census):
            guard census.removed > 0 else { return }
            logger.notice(
                "device nodes, pipes and sockets of the image were left out",
                metadata: ["image": "\(image)", "count": "\(census.removed)"])
        case .failure(.system(let error)):
            logger.error("cannot look through an image", metadata: ["image": "\(image)", "error": "\(error)"])
            throw RuntimeError(
                code: ForeignFile.isDoomed(error) ? .imageInvalid : .failed, operation: "unpack",
                subject: image.description,
                cause: "its files cannot be looked through: \(String(cString: strerror(error.code)))")
        case .failure(.tooManyFiles): throw tooLarge(image, "it has more than \(limits.filesMax) files")
        case .failure(.tooLarge): throw tooLarge(image, "unpacked it takes more than \(limits.unpackedMax)")
        }
    }

    private func publish(
        _ half: String, as digest: ImageDigest, _ image: ImageReference, _ lock: FileLock
    ) async throws(RuntimeError) {
        // The name must not reach the disk before the files do.
        try await command("flush", image, .failed, Command("sync", ["-f", half], deadline: Self.unpackDeadline))
        let final = folder(digest)
        try await clearPlace(of: digest, image, lock)
        try await report("publish", image) { () throws(SystemError) in
            // To flush it may have taken minutes.
            try Self.noteUse(at: half + "/image.json")
            guard rename(half, final) == 0 else { throw SystemError("rename to", final) }
            try DurableFile.flushFolder(directory)
        }
    }
}

extension OCIImageStore {
    /// What is in an image's place without a record that can be read is no image: a disk has lost part of it. It makes way,
    /// unless a machine runs from it, as may be where another host uses the folder: its mounts are not seen here. To be called
    /// by who has the image's lock and has found it not ready.
    private func clearPlace(
        of digest: ImageDigest, _ image: ImageReference, _ lock: FileLock
    ) async throws(RuntimeError) {
        let final = folder(digest)
        let aside = "\(directory)/\(Self.removingPrefix)\(digest.hex)"
        try await removeFolder(aside, image, lock)
        try await requirePlace(of: digest, image)
        try await report("publish", image) { () throws(SystemError) in
            var status = stat()
            guard lstat(final, &status) == 0 else {
                guard errno == ENOENT else { throw SystemError("look at", final) }
                return
            }
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            guard (isFolder ? rename(final, aside) : unlink(final)) == 0 else { throw SystemError("set aside", final) }
        }
        try await removeFolder(aside, image, lock)
    }

    /// Asked before anything is fetched, too: an image that cannot take its place would be fetched at each try.
    func requirePlace(of digest: ImageDigest, _ image: ImageReference) async throws(RuntimeError) {
        let final = folder(digest)
        let found = try await report("publish", image) { () throws(SystemError) -> String? in
            try obstacle(at: final, digest)
        }
        guard let found else { return }
        // Who holds the lock of another name of it may have put it there a moment ago.
        guard try await ready(digest, image) == nil else { return }
        throw RuntimeError(
            code: .failed, operation: "unpack", subject: image.description,
            cause: "\(final) on the host is damaged, and \(found)")
    }

    /// Nil: nothing is there that anybody could run from. An empty folder is removed.
    private func obstacle(at final: String, _ digest: ImageDigest) throws(SystemError) -> String? {
        var status = stat()
        guard lstat(final, &status) == 0 else {
            guard errno == ENOENT else { throw SystemError("look at", final) }
            return nil
        }
        if rmdir(final) == 0 { return nil }
        guard try isOnlyOwner() else {
            return "another host uses that folder: remove it when no machine of this image runs on any of them"
        }
        guard try !Self.isRunFrom(digest.hex) else {
            return "a machine runs from it: stop the machines of this image, then start them again"
        }
        return nil
    }
}

/// What an image says of itself, kept beside its root.
struct ImageRecord: Codable, Sendable {
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
