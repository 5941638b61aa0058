import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel

extension LoopVolumes {
    public func mount(_ volume: VolumeID) async throws(VolumeError) -> DiskAttachment {
        try await locked(volume, "mount") { () throws(VolumeError) -> DiskAttachment in
            guard try await sizeOfImage(volume, "mount") != nil else {
                throw VolumeError(
                    code: .notFound, operation: "mount", volume: volume,
                    cause: "its image file is gone: the volume is not on this host")
            }
            let point = mountPoint(volume)
            if let mounted = try await mountTable(volume).at(point) {
                let devices = try await devices(of: volume)
                guard devices.contains(where: { $0.device == mounted.device }) else {
                    throw VolumeError(
                        code: .failed, operation: "mount", volume: volume,
                        cause: "something else is mounted in its place on the host: unmount it")
                }
                let errors = await BlockingCall.run { errorsCounted(on: mounted) }
                guard mounted.isReadOnly || errors > 0 else { return .folder(path: point) }
                logger.warning(
                    "there was an error of the volume's file system: it is checked and mounted anew",
                    metadata: ["volume": "\(volume)", "errors": "\(errors)"])
                try await detach(volume, "mount")
            }
            try await waitUntilFree(volume, "mount")
            try await attachAndMount(volume, at: point)
            return .folder(path: point)
        }
    }

    public func unmount(_ volume: VolumeID) async throws(VolumeError) {
        guard try await hasMount(volume) else { return }
        try await locked(volume, "unmount") { () throws(VolumeError) in try await detach(volume, "unmount") }
    }

    /// The errors that ext4 has met since the last check of the file system; zero where the kernel does not say. After one
    /// it may take no more writes and still be called writable (``MountTable/Mount/isReadOnly``).
    private func errorsCounted(on mount: MountTable.Mount) -> Int {
        let device = mount.source.split(separator: "/").last ?? ""
        guard let bytes = try? DurableFile.read("\(counts)/\(device)/errors_count") else { return 0 }
        return Int(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }) ?? 0
    }

    // MARK: - Steps

    func hasMount(_ volume: VolumeID) async throws(VolumeError) -> Bool {
        try await mountTable(volume).at(mountPoint(volume)) != nil
    }

    func detach(_ volume: VolumeID, _ operation: String) async throws(VolumeError) {
        let point = mountPoint(volume)
        for _ in 0..<Self.stackedMountsMax {
            guard try await mountTable(volume).at(point) != nil else { return }
            let code = await BlockingCall.run { umount2(point, 0) == 0 ? 0 : errno }
            switch code {
            case 0, EINVAL, ENOENT: continue
            case EBUSY:
                throw VolumeError(
                    code: .busy, operation: operation, volume: volume,
                    cause: "it is in use: stop the machine that has it")
            default:
                throw VolumeError(
                    code: .failed, operation: operation, volume: volume, cause: String(cString: strerror(code)))
            }
        }
        throw VolumeError(
            code: .failed, operation: operation, volume: volume,
            cause: "its place has more than \(Self.stackedMountsMax) mounts on top of each other")
    }

    /// Waits, for a moment, until no loop device holds the volume. One that does is mounted somewhere else: in
    /// another host's namespace, or still in the namespace of the machine that had it.
    func waitUntilFree(_ volume: VolumeID, _ operation: String) async throws(VolumeError) {
        let end = BootClock.now() + Self.busyPatience
        while true {
            var holder: LoopDevice?
            for device in try await devices(of: volume) {
                let isIdle = try await report(volume, operation) { () throws(SystemError) in try device.detachIfIdle() }
                if !isIdle { holder = device }
            }
            guard let holder else { return }
            guard BootClock.now() < end else {
                throw VolumeError(
                    code: .busy, operation: operation, volume: volume,
                    cause: "it is attached elsewhere on this computer (loop device \(holder.number)): "
                        + "stop the machine or the host that has it")
            }
            do { try await Task.sleep(for: .milliseconds(30)) } catch {
                throw VolumeError(code: .failed, operation: operation, volume: volume, cause: "cancelled")
            }
        }
    }

    private func attachAndMount(_ volume: VolumeID, at point: String) async throws(VolumeError) {
        let path = image(volume)
        try await requireFile(at: path, volume)
        let attached = try await report(volume, "attach") { () throws(SystemError) -> Attached in
            let file = open(path, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { throw SystemError("open", path) }
            defer { close(file) }
            let (device, opened) = try LoopDevice.attach(file: file, path: path)
            let flags = device.status()?.lo_flags ?? UInt32(LO_FLAGS_DIRECT_IO)
            return Attached(device: device, opened: opened, hasDirectIO: flags & UInt32(LO_FLAGS_DIRECT_IO) != 0)
        }
        // Autoclear: with this descriptor closed, the mount alone keeps the device; without a mount it is freed.
        defer { close(attached.opened) }
        let device = attached.device
        if !attached.hasDirectIO {
            logger.warning(
                "the pool's filesystem has no direct I/O: the volume goes through the page cache twice",
                metadata: ["volume": "\(volume)", "pool": "\(pool)"])
        }
        try await check(volume, on: device)
        try await report(volume, "mount") { () throws(SystemError) in
            // Files of tenants are nothing for other users of the host, whatever their modes are.
            try DurableFile.makePrivateFolder(mountRoot, mode: 0o700)
            try DurableFile.makeFolder(point)
            guard Glibc.mount(device.path, point, "ext4", UInt(MS_NOATIME | MS_NOSUID | MS_NODEV), nil) == 0 else {
                throw SystemError("mount \(device.path) at", point)
            }
            // Every new filesystem has it, no image expects it, and e2fsck makes it when it needs it. One that holds
            // something stays.
            rmdir(point + "/" + Self.rescueFolder)
        }
    }

    private static let rescueFolder = "lost+found"

    private func requireFile(at path: String, _ volume: VolumeID) async throws(VolumeError) {
        let isFile = try await report(volume, "attach") { () throws(SystemError) -> Bool in
            var facts = stat()
            guard stat(path, &facts) == 0 else { throw SystemError("open", path) }
            return facts.st_mode & S_IFMT == S_IFREG
        }
        guard isFile else {
            throw VolumeError(
                code: .failed, operation: "attach", volume: volume,
                cause: "something else is in the place of its file on the host; put that back, or restore it from a "
                    + "backup")
        }
    }

    private struct Attached: Sendable {
        var device: LoopDevice
        var opened: Int32
        var hasDirectIO: Bool
    }

    private func check(_ volume: VolumeID, on device: LoopDevice) async throws(VolumeError) {
        let verdict = try await report(volume, "check") { () throws(SystemError) in
            try FilesystemCheck.verdict(of: device.path)
        }
        switch verdict {
        case .clean: return
        case .notAFilesystem:
            throw VolumeError(
                code: .failed, operation: "check", volume: volume,
                cause: "it holds no ext4 filesystem any more; restore it from a backup")
        case .cutOff(let size):
            // Nothing is to be written to what is left: the rest may be found.
            throw VolumeError(
                code: .failed, operation: "check", volume: volume,
                cause: (size.map { "its file system has \($0), and its file on the host is shorter" }
                    ?? "its file on the host is shorter than any file system")
                    + ": the host's disk has lost the rest of it; restore it from a backup")
        case .needsCheck:
            logger.notice("the volume was not unmounted cleanly, checking it", metadata: ["volume": "\(volume)"])
            do { try await FilesystemCheck.repair(device) } catch {
                guard FilesystemCheck.isVerdict(error) else {
                    logger.error(
                        "the volume could not be checked", metadata: ["volume": "\(volume)", "error": "\(error)"])
                    throw VolumeError(
                        code: .failed, operation: "check", volume: volume,
                        cause: "its file system could not be checked: \(error.summary)")
                }
                logger.error(
                    "the volume wants more than e2fsck mends by itself: look at it by hand while it is not mounted",
                    metadata: ["volume": "\(volume)", "by": "e2fsck -f \(image(volume))", "error": "\(error)"])
                throw VolumeError(
                    code: .failed, operation: "check", volume: volume,
                    cause: "its file system is damaged, and more than e2fsck mends by itself: the host's log says more")
            }
        }
    }

    private func mountTable(_ volume: VolumeID) async throws(VolumeError) -> MountTable {
        try await report(volume, "read the mounts") { () throws(SystemError) in try MountTable.current() }
    }

    private func devices(of volume: VolumeID) async throws(VolumeError) -> [LoopDevice] {
        try await report(volume, "find loop devices") { () throws(SystemError) in
            try LoopDevice.backed(by: image(volume))
        }
    }
}
