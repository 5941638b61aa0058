import Glibc
import RoostLinux
import RoostModel
import RoostRuntime

/// Work on images takes no more of the host than ``ImageLimits`` says.
extension OCIImageStore {
    /// Whether `skopeo` has to pack layers anew before `umoci` can unpack them. What neither knows is refused by name,
    /// before anything is unpacked.
    func needsRepacking(_ manifest: OCILayout.Manifest, _ image: ImageReference) throws(RuntimeError) -> Bool {
        var isRepacked = false
        for layer in manifest.layers ?? [] {
            let type = layer.mediaType ?? "none"
            if OCILayout.layerTypes.contains(type) { continue }
            guard OCILayout.repackableTypes.contains(type) else {
                throw RuntimeError(
                    code: .imageInvalid, operation: "unpack", subject: image.description,
                    cause: "its layer \(layer.digest.prefix(80)) is of the media type '\(type.prefix(120))', "
                        + "which this version cannot unpack")
            }
            isRepacked = true
        }
        return isRepacked
    }

    /// All layers together.
    func size(of manifest: OCILayout.Manifest, _ image: ImageReference) throws(RuntimeError) -> ByteCount {
        let layers = manifest.layers ?? []
        guard layers.count <= limits.layerCountMax else {
            throw tooLarge(image, "it has \(layers.count) layers; at most \(limits.layerCountMax)")
        }
        var sum = ByteCount.zero
        for layer in layers {
            guard layer.size >= 0, layer.size <= limits.layersMax.bytes else {
                throw tooLarge(image, "a layer is said to have \(layer.size) bytes; at most \(limits.layersMax) in all")
            }
            sum = ByteCount(bytes: sum.bytes + layer.size)
            guard sum <= limits.layersMax else {
                throw tooLarge(image, "its layers have more than \(limits.layersMax)")
            }
        }
        return sum
    }

    func tooLarge(_ image: ImageReference, _ cause: String) -> RuntimeError {
        RuntimeError(code: .imageInvalid, operation: "unpack", subject: image.description, cause: cause)
    }

    /// - Parameter size: of the packed layers; unpacked they take at least as much.
    func requireSpace(_ size: ByteCount, _ image: ImageReference) async throws(RuntimeError) {
        let free = try await freeSpace()
        guard free - limits.diskReserve >= size else { throw diskFull(image) }
    }

    private func diskFull(_ image: ImageReference, _ more: String = "") -> RuntimeError {
        RuntimeError(
            code: .noSpace, operation: "unpack", subject: image.description,
            cause: "the host's disk for images is nearly full; \(limits.diskReserve) are left for others" + more)
    }

    /// Runs a command that fetches or unpacks: few at a time, and ended when it takes more of the disk than an image
    /// may. What others write meanwhile counts too: too strict is better than a full disk. But only what it has written
    /// itself is held against the image.
    ///
    /// - Parameters:
    ///   - content: what the disk is filled with, by whatever name somebody asks for it.
    ///   - folder: below which all is that is written for it.
    @discardableResult func work(
        _ operation: String, _ image: ImageReference, content: String, into folder: String,
        _ code: RuntimeError.Code, _ make: @Sendable () -> Command
    ) async throws(RuntimeError) -> Command.Output {
        let slot = try await slot(image)
        defer { slot.release() }
        let command = make()
        let before = try await freeSpace()
        let room = before - limits.diskReserve
        let leave = shortages.withLock { $0.begin(content, room: room, at: BootClock.now()) }
        guard leave != .refused else {
            throw diskFull(
                image,
                ". It did not fit before, and is tried again, when no other such image is at work, after "
                    + "\(ImageShortages.pause.components.seconds) s, or with more room")
        }
        defer { if leave == .turn { shortages.withLock { $0.end(content) } } }
        do {
            return try await withThrowingTaskGroup(of: Command.Output?.self) { group in
                group.addTask { try await self.command(operation, image, code, command) }
                group.addTask {
                    while !Task.isCancelled {
                        try await Task.sleep(for: ImageLimits.lookInterval)
                        let free = try await freeSpace()
                        guard free >= limits.diskReserve else {
                            throw Shortage(lost: before - free)
                        }
                        guard before - free <= limits.unpackedMax else { throw Excess(lost: before - free) }
                    }
                    return nil
                }
                defer { group.cancelAll() }
                guard let output = try await group.next() ?? nil else { throw CancellationError() }
                return output
            }
        } catch let error as RuntimeError { throw error } catch let shortage as Shortage {
            // It writes no more, and what it has written is still there.
            let written = await Self.written(below: folder, limits) ?? max(shortage.lost, .zero)
            shortages.withLock { $0.note(content, written: written, at: BootClock.now()) }
            throw diskFull(image)
        } catch let excess as Excess {
            let written = await Self.written(below: folder, limits)
            if let written, written > limits.unpackedMax {
                throw tooLarge(image, "unpacked it takes more than \(limits.unpackedMax)")
            }
            shortages.withLock { $0.note(content, written: written ?? excess.lost, at: BootClock.now()) }
            throw RuntimeError(
                code: .noSpace, operation: operation, subject: image.description,
                cause: "the host's disk for images lost more than \(limits.unpackedMax) while it was written")
        } catch {
            throw RuntimeError(code: .failed, operation: operation, subject: image.description, cause: "cancelled")
        }
    }

    /// The disk became too full.
    private struct Shortage: Error {
        /// By the disk, since the work was begun, to whomever.
        var lost: ByteCount
    }

    /// The disk lost more than an image may take, in the same way.
    private struct Excess: Error {
        var lost: ByteCount
    }

    /// For the walk of what was just written.
    private static let measureTime = Duration.seconds(10)

    /// Nil: it could not be measured.
    private static func written(below folder: String, _ limits: ImageLimits) async -> ByteCount? {
        await BlockingCall.run {
            do throws(SystemError) {
                let end = WalkEnd(at: BootClock.now() + measureTime)
                let use = try FolderUse.measure(folder, namesMax: limits.filesMax, until: end)
                // More than it may take is that for sure, and more files than it may have are no less.
                return use.isDone && use.isWhole || use.size > limits.unpackedMax ? use.size : nil
            } catch { return error.code == ENOENT ? .zero : nil }
        }
    }

    /// One of the places for work on images: a lock that dies with its holder, like the images' own.
    private func slot(_ image: ImageReference) async throws(RuntimeError) -> FileLock {
        let end = BootClock.now() + Self.lockPatience
        while BootClock.now() < end {
            let slot = try await report("wait for a place to unpack", image) { () throws(SystemError) -> FileLock? in
                for number in 0..<limits.worksMax {
                    if let lock = try FileLock.attempt("\(directory)/.work-\(number).lock") { return lock }
                }
                return nil
            }
            if let slot { return slot }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { break }
        }
        throw RuntimeError(
            code: .deadlineExceeded, operation: "wait for a place to unpack", subject: image.description,
            cause: "\(limits.worksMax) other images are being fetched on this host")
    }
}
