import CLinux
import Glibc
import RoostLinux
import RoostModel

/// Whether an ext4 filesystem wants `e2fsck` before it is mounted, read from its superblock
/// (offsets: the kernel's Documentation/filesystems/ext4/super.rst).
enum FilesystemCheck {
    static let deadline = Duration.seconds(600)

    private static let superblockOffset = 1024
    private static let magic: UInt16 = 0xef53
    private static let stateClean: UInt16 = 1
    private static let stateErrors: UInt16 = 2
    private static let incompatibleRecover: UInt32 = 4

    private static let incompatible64Bit: UInt32 = 0x80
    private static let blockSizeShiftMax: UInt32 = 6

    enum Verdict: Equatable, Sendable {
        case clean, needsCheck, notAFilesystem
        /// It had this size, and less is there: its disk has lost its end. Nil: the superblock, which says it, is gone too.
        case cutOff(size: ByteCount?)
    }

    /// - Parameter room: of what it is on.
    static func verdict(superblock bytes: [UInt8], room: UInt64) -> Verdict {
        guard bytes.count >= 1024 else { return .notAFilesystem }
        let word = { (at: Int) in UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8 }
        let double = { (at: Int) in UInt32(word(at)) | UInt32(word(at + 2)) << 16 }
        guard word(0x38) == magic, double(0x18) <= blockSizeShiftMax else { return .notAFilesystem }
        let state = word(0x3a)
        let incompatible = double(0x60)
        let high = incompatible & incompatible64Bit != 0 ? UInt64(double(0x150)) << 32 : 0
        let (size, isBeyond) = (high | UInt64(double(0x4))).multipliedReportingOverflow(
            by: 1024 << UInt64(double(0x18)))
        guard !isBeyond, let whole = Int64(exactly: size) else { return .notAFilesystem }
        if size > room { return .cutOff(size: ByteCount(bytes: whole)) }
        let isClean =
            state & stateClean != 0 && state & stateErrors == 0 && incompatible & incompatibleRecover == 0
        return isClean ? .clean : .needsCheck
    }

    /// On a thread that may wait.
    static func verdict(of device: String) throws(SystemError) -> Verdict {
        let file = open(device, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open", device) }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        guard end >= 0 else { throw SystemError("measure", device) }
        // Of one that ends in its first block nothing can be read, and that is no error of reading.
        guard end >= off_t(LoopDevice.sectorSize) else { return .cutOff(size: nil) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, 1024, off_t(superblockOffset)) }
        guard count >= 0 else { throw SystemError("read the superblock of", device) }
        guard count == 1024 else { throw SystemError("read the superblock of", device, code: EIO) }
        return verdict(superblock: bytes, room: UInt64(end))
    }

    /// Whether it has looked and found more than it mends without asking (e2fsck(8): bit 2). All else is no verdict: it may
    /// not have been started, or was ended.
    static func isVerdict(_ error: CommandError) -> Bool {
        if case .exited(let status, _) = error.cause { status < DeviceCell.unmade && status & 4 != 0 } else { false }
    }

    /// `e2fsck -p`: repairs what is safe to repair without asking. It reads what a tenant has written, so it does that in
    /// a ``DeviceCell``.
    ///
    /// - Throws: also when the superblock still asks for a check: the programs around e2fsck end with its status for
    ///   "corrected" when they cannot start it, and a file system that nobody has looked at is not to be mounted.
    static func repair(_ device: LoopDevice, by words: [String] = ["e2fsck", "-p", DeviceCell.device])
        async throws(CommandError)
    {
        let command = DeviceCell.command(words, for: device, deadline: deadline)
        let output = try await command.outcome()
        let isClean = await BlockingCall.run { (try? verdict(of: device.path)) == .clean }
        // e2fsck(8): bit 0 corrected, bit 1 corrected and should reboot (the root filesystem's case only).
        guard output.status & ~3 == 0, isClean else {
            throw CommandError(
                command: command.line, cause: .exited(output.status, output.standardOutput + output.standardError))
        }
    }
}
