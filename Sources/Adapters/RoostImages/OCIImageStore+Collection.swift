import Glibc
import Logging
import RoostLinux
import RoostModel
public import RoostRuntime

/// Images that nothing uses go, the whole of one at once: it is renamed to `.removing-<hex>` and is no image any more.
/// Whatever dies in between, the next collection takes away what is left.
extension OCIImageStore {
    static let removalDeadline = Duration.seconds(900)

    private static let imagePrefix = "sha256-"
    private static let usePrefix = ".use-"
    private static let lockSuffix = ".lock"
    static let removingPrefix = ".removing-"
    private static let unpackingPrefix = ".unpacking-"
    private static let pullingPrefix = ".pulling-"

    public func freeSpace() async throws(RuntimeError) -> ByteCount {
        try await step("look at the disk of") { () throws(SystemError) -> ByteCount in
            try DurableFile.makePrivateFolder(directory, mode: 0o700)
            var filesystem = statvfs()
            guard statvfs(directory, &filesystem) == 0 else { throw SystemError("look at", directory) }
            return ByteCount(bytes: Int64(filesystem.f_bavail) * Int64(filesystem.f_frsize))
        }
    }

    public func collect(
        _ retention: ImageRetention, inUse: @Sendable () async throws(RuntimeError) -> Set<String>
    ) async throws(RuntimeError) -> [String] {
        let path = directory + "/.collect.lock"
        let taken = try await step("lock") { () throws(SystemError) -> FileLock? in
            // On a host that has never had an image.
            try DurableFile.makePrivateFolder(directory, mode: 0o700)
            return try FileLock.attempt(path)
        }
        guard let lock = taken else { return [] }
        defer { lock.release() }
        try await sweepLocks()
        try await sweep(lock)
        guard try await step("look for other users of", { () throws(SystemError) in try isOnlyOwner() }) else {
            return []
        }
        let used = try await inUse()
        var shelf = try await shelf(inUse: used)
        var removed: [String] = []
        while !Task.isCancelled,
            let image = shelf.takeNext(by: retention, free: try await freeSpace(), now: WallClock.milliseconds())
        {
            guard try await remove(image, inUse: inUse) else { continue }
            removed.append("sha256:" + image.hex)
            logger.info("image removed, nothing uses it", metadata: ["digest": "sha256:\(image.hex)"])
            await clear(directory + "/" + Self.removingPrefix + image.hex, lock)
        }
        try await forgetNames()
        return removed
    }

    /// What is there. The time of what is in use goes on.
    private func shelf(inUse: Set<String>) async throws(RuntimeError) -> ImageShelf {
        try await step("look at") { () throws(SystemError) in
            var images: [ImageShelf.Image] = []
            let now = WallClock.milliseconds()
            for name in try FolderListing.names(in: directory) where name.hasPrefix(Self.imagePrefix) {
                let hex = String(name.dropFirst(Self.imagePrefix.count))
                let record = "\(directory)/\(name)/image.json"
                guard let lastUse = try Self.lastUse(at: record) else { continue }
                // Later than now: somebody has set the clock back.
                if inUse.contains("sha256:" + hex) || lastUse > now { try Self.noteUse(at: record) }
                images.append(ImageShelf.Image(hex: hex, lastUse: min(lastUse, now)))
            }
            return ImageShelf(images, inUse: inUse)
        }
    }

    /// Nil: there is no such image.
    private static func lastUse(at record: String) throws(SystemError) -> Int64? {
        var file = stat()
        guard lstat(record, &file) == 0 else {
            guard errno == ENOENT || errno == ENOTDIR else { throw SystemError("look at", record) }
            return nil
        }
        return Int64(file.st_mtim.tv_sec) * 1000 + Int64(file.st_mtim.tv_nsec) / 1_000_000
    }

    /// - Returns: false where somebody uses it after all.
    private func remove(
        _ image: ImageShelf.Image, inUse: @Sendable () async throws(RuntimeError) -> Set<String>
    ) async throws(RuntimeError) -> Bool {
        let path = useLock(image.hex)
        guard let lock = try await step("lock", { () throws(SystemError) in try FileLock.attempt(path) }) else {
            return false
        }
        defer { lock.release() }
        // From here on nobody begins to use it, and who has begun is seen.
        guard !(try await inUse()).contains("sha256:" + image.hex) else { return false }
        return try await step("remove") { () throws(SystemError) in
            let name = Self.imagePrefix + image.hex
            let folder = "\(directory)/\(name)"
            guard try isOnlyOwner(), try Self.lastUse(at: folder + "/image.json") == image.lastUse,
                try !Self.isRunFrom(image.hex)
            else { return false }
            guard rename(folder, directory + "/" + Self.removingPrefix + image.hex) == 0 else {
                throw SystemError("rename", folder)
            }
            try DurableFile.flushFolder(directory)
            unlink(path)
            return true
        }
    }

    /// Whether a machine's root is on the image.
    static func isRunFrom(_ hex: String) throws(SystemError) -> Bool {
        let name = imagePrefix + hex
        return try MountTable.current().mounts.contains { $0.type == "overlay" && $0.options.contains(name) }
    }

    // MARK: - What was cut off

    /// What died while it was fetched, unpacked or removed. Whoever is at work has the lock of it, whosever images these
    /// are.
    private func sweep(_ collection: FileLock) async throws(RuntimeError) {
        let names = try await step("look at") { () throws(SystemError) in try FolderListing.names(in: directory) }
        for name in names {
            let lock: String?
            if name.hasPrefix(Self.removingPrefix) {
                lock = nil
            } else if name.hasPrefix(Self.unpackingPrefix) {
                lock = ".sha256-\(name.dropFirst(Self.unpackingPrefix.count)).lock"
            } else if name.hasPrefix(Self.pullingPrefix) {
                lock = ".pull-\(name.dropFirst(Self.pullingPrefix.count)).lock"
            } else {
                continue
            }
            guard let lock else {
                await clear("\(directory)/\(name)", collection)
                continue
            }
            let path = "\(directory)/\(lock)"
            guard let held = try? await step("lock", { () throws(SystemError) in try FileLock.attempt(path) }) else {
                continue
            }
            defer { held.release() }
            await clear("\(directory)/\(name)", held)
        }
    }

    /// What a registry's name meant is of use only while there is the image that it meant.
    private func forgetNames() async throws(RuntimeError) {
        try await step("look at the names of") { () throws(SystemError) in
            let folder = directory + "/references"
            for name in try FolderListing.names(in: folder) where name.hasSuffix(".json") {
                let path = "\(folder)/\(name)"
                let lockPath = "\(directory)/.pull-\(name.dropLast(5)).lock"
                guard let lock = try FileLock.attempt(lockPath) else { continue }
                defer { lock.release() }
                guard let known = try? JSONFile.read(Resolution.self, from: path),
                    let digest = try? ImageDigest(known.manifest, of: known.reference),
                    access(self.folder(digest), F_OK) != 0, errno == ENOENT
                else { continue }
                try DurableFile.remove(path)
                unlink(lockPath)
            }
        }
    }

    /// One that locks nothing any more is a file for every image and name that was ever heard of. Whoever opened it before
    /// it was removed sees that it has no name any more, and makes a new one (``FileLock``).
    private func sweepLocks() async throws(RuntimeError) {
        let names = try await step("look at") { () throws(SystemError) in try FolderListing.names(in: directory) }
        for name in names where name.hasSuffix(Self.lockSuffix) {
            let image: String?
            if name.hasPrefix(Self.usePrefix) {
                // Of an image that is there it is in use, or goes with it.
                image = Self.imagePrefix + name.dropFirst(Self.usePrefix.count).dropLast(Self.lockSuffix.count)
            } else if [".sha256-", ".pull-"].contains(where: name.hasPrefix) {
                image = nil
            } else {
                continue
            }
            // One that cannot be removed now is no harm.
            _ = try? await step("remove a lock of") { () throws(SystemError) in
                let path = "\(directory)/\(name)"
                if let image, try DurableFile.exists("\(directory)/\(image)") { return }
                guard let lock = try FileLock.attempt(path) else { return }
                defer { lock.release() }
                // Somebody may have been quicker.
                if let image, try DurableFile.exists("\(directory)/\(image)") { return }
                unlink(path)
            }
        }
    }

    // MARK: - Small steps

    /// What cannot be cleared away stays for the next collection, and is no reason to remove nothing else.
    private func clear(_ path: String, _ lock: FileLock) async {
        do {
            try await Command("rm", ["-rf", "--one-file-system", path], deadline: Self.removalDeadline)
                .bound(to: lock).run()
        } catch {
            logger.error("cannot clear away an image", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private func step<Value: Sendable>(
        _ operation: String, _ body: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws(RuntimeError) -> Value {
        do { return try await BlockingCall.run(body) } catch {
            logger.error(
                "a step with images failed", metadata: ["operation": "\(operation)", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: operation, subject: "images", cause: String(cString: strerror(error.code)))
        }
    }
}
