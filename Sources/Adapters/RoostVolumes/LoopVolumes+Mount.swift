import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel

extension LoopVolumes {
    public func mount(_ volume: VolumeID) async throws(VolumeError) -> String {
        try await locked(volume, "mount") { () throws(VolumeError) -> String in
            guard sizeOfImage(volume) != nil else {
                throw VolumeError(
                    code: .notFound, operation: "mount", volume: volume,
                    cause: "there is no \(image(volume)); the volume is not on this host")
            }
            let point = mountPoint(volume)
            if let mounted = try mountTable(volume).at(point) {
                let devices = try devices(of: volume)
                guard devices.contains(where: { $0.device == mounted.device }) else {
                    throw VolumeError(
                        code: .failed, operation: "mount", volume: volume,
                        cause: "something else (\(mounted.source)) is mounted at \(point): unmount it")
                }
                return point
            }
            try await waitUntilFree(volume, "mount")
            try await attachAndMount(volume, at: point)
            return point
        }
    }

    public func unmount(_ volume: VolumeID) async throws(VolumeError) {
        guard hasMount(volume) else { return }
        try await locked(volume, "unmount") { () throws(VolumeError) in try await detach(volume, "unmount") }
    }

    // MARK: - Steps

    func hasMount(_ volume: VolumeID) -> Bool {
        (try? MountTable.current().at(mountPoint(volume))) != nil
    }

    func detach(_ volume: VolumeID, _ operation: String) async throws(VolumeError) {
        let point = mountPoint(volume)
        for _ in 0..<Self.stackedMountsMax {
            guard try mountTable(volume).at(point) != nil else { return }
            let code = await BlockingCall.run { umount2(point, 0) == 0 ? 0 : errno }
            switch code {
            case 0, EINVAL, ENOENT: continue
            case EBUSY:
                throw VolumeError(
                    code: .busy, operation: operation, volume: volume,
                    cause: "\(point) is in use: stop the machine that has it")
            default:
                throw VolumeError(
                    code: .failed, operation: operation, volume: volume,
                    cause: SystemError("unmount", point, code: code).description)
            }
        }
        throw VolumeError(
            code: .failed, operation: operation, volume: volume,
            cause: "\(point) has more than \(Self.stackedMountsMax) mounts on top of each other")
    }

    /// Waits, for a moment, until no loop device holds the volume. One that does is mounted somewhere else: in
    /// another host's namespace, or still in the namespace of the machine that had it.
    func waitUntilFree(_ volume: VolumeID, _ operation: String) async throws(VolumeError) {
        let end = BootClock.now() + Self.busyPatience
        while true {
            var holder: LoopDevice?
            for device in try devices(of: volume) {
                let isIdle = try report(volume, operation) { () throws(SystemError) in try device.detachIfIdle() }
                if !isIdle { holder = device }
            }
            guard let holder else { return }
            guard BootClock.now() < end else {
                throw VolumeError(
                    code: .busy, operation: operation, volume: volume,
                    cause: "it is attached elsewhere on this computer (\(holder.path)): "
                        + "stop the machine or the host that has it")
            }
            do { try await Task.sleep(for: .milliseconds(30)) } catch {
                throw VolumeError(code: .failed, operation: operation, volume: volume, cause: "cancelled")
            }
        }
    }

    private func attachAndMount(_ volume: VolumeID, at point: String) async throws(VolumeError) {
        let path = image(volume)
        let attached: (device: LoopDevice, opened: Int32)
        do throws(SystemError) {
            let file = open(path, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { throw SystemError("open", path) }
            defer { close(file) }
            attached = try LoopDevice.attach(file: file, path: path)
        } catch {
            throw VolumeError(code: .failed, operation: "attach", volume: volume, cause: error.description)
        }
        // Autoclear: with this descriptor closed, the mount alone keeps the device; without a mount it is freed.
        defer { close(attached.opened) }
        let device = attached.device
        if let status = device.status(), status.lo_flags & UInt32(LO_FLAGS_DIRECT_IO) == 0 {
            logger.warning(
                "the pool's filesystem has no direct I/O: the volume goes through the page cache twice",
                metadata: ["volume": "\(volume)", "pool": "\(pool)"])
        }
        try await check(volume, on: device)
        try report(volume, "mount") { () throws(SystemError) in try DurableFile.makeFolder(point) }
        let code = await BlockingCall.run {
            Glibc.mount(device.path, point, "ext4", UInt(MS_NOATIME | MS_NOSUID | MS_NODEV), nil) == 0 ? 0 : errno
        }
        guard code == 0 else {
            throw VolumeError(
                code: .failed, operation: "mount", volume: volume,
                cause: SystemError("mount \(device.path) at", point, code: code).description)
        }
    }

    private func check(_ volume: VolumeID, on device: LoopDevice) async throws(VolumeError) {
        let verdict = try report(volume, "check") { () throws(SystemError) in
            try FilesystemCheck.verdict(of: device.path)
        }
        switch verdict {
        case .clean: return
        case .notAFilesystem:
            throw VolumeError(
                code: .failed, operation: "check", volume: volume,
                cause: "\(image(volume)) holds no ext4 filesystem; restore it from a backup")
        case .needsCheck:
            logger.notice("the volume was not unmounted cleanly, checking it", metadata: ["volume": "\(volume)"])
            do { try await FilesystemCheck.repair(device.path) } catch {
                throw VolumeError(
                    code: .failed, operation: "check", volume: volume,
                    cause: "\(error); look at it by hand with 'e2fsck -f \(image(volume))' while it is not mounted")
            }
        }
    }

    private func mountTable(_ volume: VolumeID) throws(VolumeError) -> MountTable {
        try report(volume, "read the mounts") { () throws(SystemError) in try MountTable.current() }
    }

    private func devices(of volume: VolumeID) throws(VolumeError) -> [LoopDevice] {
        try report(volume, "find loop devices") { () throws(SystemError) in
            try LoopDevice.backed(by: image(volume))
        }
    }
}
