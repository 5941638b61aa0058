import CLinux
import Glibc
import RoostLinux

/// A loop device of this computer. Loop devices belong to the kernel, not to a namespace: every host of a lab sees
/// the same ones, so a device is taken for ours only when it is backed by our very file.
struct LoopDevice: Hashable, Sendable {
    let number: Int32

    var path: String { "/dev/loop\(number)" }
    /// As the mount table names it.
    var device: String { "\(Self.major):\(number)" }

    static let major = 7
    static let sectorSize: UInt32 = 4096
    static let attachTriesMax = 16

    private static let controlPath = "/dev/loop-control"

    /// Attaches the file to a free device: direct I/O, and detached by the kernel when its last user is gone, be it
    /// by `umount` or because the mount namespace died.
    ///
    /// - Returns: the device, and it opened: the device lives as long as that or a mount does.
    static func attach(file: Int32, path: String) throws(SystemError) -> (device: LoopDevice, opened: Int32) {
        let control = open(controlPath, O_RDWR | O_CLOEXEC)
        guard control >= 0 else { throw SystemError("open", controlPath) }
        defer { close(control) }
        for _ in 0..<attachTriesMax {
            let number = ioctl(control, UInt(LOOP_CTL_GET_FREE), 0)
            guard number >= 0 else { throw SystemError("find a free loop device for", path) }
            let device = LoopDevice(number: number)
            try device.makeFile()
            let opened = open(device.path, O_RDWR | O_CLOEXEC)
            guard opened >= 0 else { throw SystemError("open", device.path) }
            var config = loop_config()
            config.fd = UInt32(file)
            config.block_size = sectorSize
            config.info.lo_flags = UInt32(LO_FLAGS_DIRECT_IO) | UInt32(LO_FLAGS_AUTOCLEAR)
            if ioctl(opened, UInt(LOOP_CONFIGURE), &config) == 0 { return (device, opened) }
            let code = errno
            close(opened)
            // Somebody else was quicker with this device.
            guard code == EBUSY else { throw SystemError("attach \(path) to", device.path, code: code) }
        }
        throw SystemError("find a free loop device for", path, code: EBUSY)
    }

    /// Devices that are backed by this file, whoever attached them.
    static func backed(by path: String) throws(SystemError) -> [LoopDevice] {
        var wanted = stat()
        guard stat(path, &wanted) == 0 else {
            if errno == ENOENT { return [] }
            throw SystemError("look at", path)
        }
        let name = "/" + (path.split(separator: "/").last ?? "")
        var devices: [LoopDevice] = []
        for entry in try FolderListing.names(in: "/sys/block") where entry.hasPrefix("loop") {
            guard let number = Int32(entry.dropFirst(4)), let bytes = try backingFile(of: entry),
                // Only a first sieve (the path is that of whoever attached it): strangers' devices stay unopened.
                String(decoding: bytes, as: UTF8.self).contains(name)
            else { continue }
            let device = LoopDevice(number: number)
            guard let status = try device.presentStatus(), status.lo_inode == UInt64(wanted.st_ino),
                status.lo_device == UInt64(wanted.st_dev)
            else { continue }
            devices.append(device)
        }
        return devices
    }

    /// As the kernel knows it; nil where the device has no file, or had one until this moment.
    private static func backingFile(of device: String) throws(SystemError) -> [UInt8]? {
        do { return try DurableFile.read("/sys/block/\(device)/loop/backing_file") } catch {
            guard [ENODEV, ENXIO].contains(error.code) else { throw error }
            return nil
        }
    }

    func status() -> loop_info64? { (try? presentStatus()) ?? nil }

    /// Nil: it has no file.
    /// - Throws: when that cannot be seen: a device that is in use must not be taken for a free one.
    private func presentStatus() throws(SystemError) -> loop_info64? {
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else {
            if [ENOENT, ENODEV, ENXIO].contains(errno) { return nil }
            throw SystemError("open", path)
        }
        defer { close(opened) }
        var status = loop_info64()
        guard ioctl(opened, UInt(LOOP_GET_STATUS64), &status) == 0 else {
            if errno == ENXIO { return nil }
            throw SystemError("ask", path)
        }
        return status
    }

    /// Detaches a device that nobody has mounted; false when somebody has.
    func detachIfIdle() throws(SystemError) -> Bool {
        let opened = open(path, O_RDWR | O_EXCL | O_CLOEXEC)
        guard opened >= 0 else {
            if errno == EBUSY { return false }
            if errno == ENXIO || errno == ENOENT { return true }
            throw SystemError("open", path)
        }
        defer { close(opened) }
        guard ioctl(opened, UInt(LOOP_CLR_FD), 0) == 0 || errno == ENXIO else { throw SystemError("detach", path) }
        return true
    }

    /// devtmpfs makes the file by itself; a plain /dev does not.
    private func makeFile() throws(SystemError) {
        guard access(path, F_OK) != 0 else { return }
        let device = dev_t(Self.major) << 8 | dev_t(number & 0xff) | dev_t(number & ~0xff) << 12
        guard mknod(path, S_IFBLK | 0o660, device) == 0 || errno == EEXIST else { throw SystemError("make", path) }
    }
}
