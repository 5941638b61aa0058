import Glibc
import Logging
import RoostCrypto
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Who uses an image, and when somebody did last.
///
/// A start shares the lock `.use-<hex>.lock` of its image from before it has seen it there until its launch is written
/// down. Whoever is to remove the image takes the same lock alone, and looks who uses it only then: what began before is
/// seen, and what begins later finds the image gone and fetches it anew.
extension OCIImageStore {
    /// An image that went between being made and being held is made again, so often.
    static let holdTriesMax = 5

    public func withImage<Value: Sendable>(
        _ image: ImageReference, _ body: (UnpackedImage) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        try await register(image)
        for _ in 0..<Self.holdTriesMax {
            let unpacked = try await ensure(image)
            // A folder of the host, which is nobody's to collect.
            guard unpacked.rootPath.hasPrefix(directory + "/") else { return try await body(unpacked) }
            let digest = try ImageDigest(unpacked.digest, of: image.description)
            let hold = try await hold(digest, image)
            defer { hold.release() }
            if try await isHeld(digest, image) { return try await body(unpacked) }
        }
        throw RuntimeError(
            code: .failed, operation: "use", subject: image.description,
            cause: "it was removed \(Self.holdTriesMax) times while it was about to be used")
    }

    func hold(_ digest: ImageDigest, _ image: ImageReference) async throws(RuntimeError) -> FileLock {
        do { return try await FileLock.share(useLock(digest.hex), within: Self.holdPatience) } catch {
            logger.error("cannot hold an image", metadata: ["image": "\(image)", "error": "\(error)"])
            throw RuntimeError(
                code: error.code == ETIMEDOUT ? .deadlineExceeded : .failed, operation: "use",
                subject: image.description, cause: String(cString: strerror(error.code)))
        }
    }

    /// Whether it is there now that it is held; from here on it stays. Notes the use.
    private func isHeld(_ digest: ImageDigest, _ image: ImageReference) async throws(RuntimeError) -> Bool {
        guard try await ready(digest, image) != nil else { return false }
        let record = folder(digest) + "/image.json"
        try await report("use", image) { () throws(SystemError) in try Self.noteUse(at: record) }
        return true
    }

    func useLock(_ hex: String) -> String { "\(directory)/.use-\(hex).lock" }

    /// The time of an image's last use is the time of its record.
    static func noteUse(at record: String) throws(SystemError) {
        guard utimensat(AT_FDCWD, record, nil, AT_SYMLINK_NOFOLLOW) == 0 else { throw SystemError("touch", record) }
    }

    /// A lock is held alone for as long as it takes to look who uses the image.
    static let holdPatience = Duration.seconds(60)

    // MARK: - Whose images these are

    var ownersFolder: String { directory + "/owners" }

    private var ownerFile: String? { owner.map { "\(ownersFolder)/\(Digest.text(of: $0))" } }

    /// Says in the folder who uses it, before anything of it is used: nobody knows what another host's launches use, so
    /// nothing is collected where there is another.
    private func register(_ image: ImageReference) async throws(RuntimeError) {
        guard let owner, let file = ownerFile, access(file, F_OK) != 0 else { return }
        try await report("register", image) { () throws(SystemError) in
            try DurableFile.makePrivateFolder(directory, mode: 0o700)
            try DurableFile.makeFolder(ownersFolder)
            try DurableFile.write(owner, to: file)
        }
    }

    /// Nobody else has ever used the folder.
    func isOnlyOwner() throws(SystemError) -> Bool {
        guard let file = ownerFile else { return false }
        return try FolderListing.names(in: ownersFolder).allSatisfy { "\(ownersFolder)/\($0)" == file }
    }

    public func digest(of image: ImageReference) async throws(RuntimeError) -> String? {
        switch image.source {
        case .directory: return nil
        case .registry(let name):
            return try await read(
                Resolution.self, from: "\(directory)/references/\(Digest.text(of: name)).json", image)?.manifest
        case .layout(let path, let tag):
            guard (try? folders.check(path, for: image)) != nil else { return nil }
            return try await BlockingCall.run { () throws(RuntimeError) in
                // A layout without it, or a broken one, gives nothing to start from either.
                do throws(RuntimeError) {
                    return try OCILayout(path: path).manifest(tag: tag, for: image.description).digest
                } catch {
                    switch error.code {
                    case .imageNotFound, .imageInvalid: return nil
                    case .notFound, .notRunning, .imageNotAllowed, .noSpace, .deadlineExceeded, .invalid, .failed:
                        throw error
                    }
                }
            }
        }
    }
}
