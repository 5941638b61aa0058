import Glibc
import RoostLinux

/// A small record that can be written on a full volume too, and that no crash loses: two places in one file, whose blocks
/// are there before they are needed, written in turn and in place.
///
/// A place holds a magic word, a number that grows, the length, a checksum (64 bits each, little-endian) and the bytes.
/// What counts is the place with the highest number whose checksum is right: one that was being written when the power
/// went is passed over, and the other has what was there before.
struct PledgeSlots: Sendable {
    /// Of one place.
    static let size = 32 << 10
    static let count = 2
    private static let headSize = 32
    /// What fits into a place. 64 reigns, as many as a member knows, are less than 10 KiB.
    static let bytesMax = size - headSize
    private static let magic: UInt64 = 0x3147_4450_5453_4f52  // "ROSTPDG1"

    struct Record: Hashable, Sendable {
        var slot: Int
        var number: UInt64
        var bytes: [UInt8]
    }

    let path: String

    init(_ path: String) { self.path = path }

    /// What counts; nil: nothing was ever written, or it is damaged.
    func newest() throws(SystemError) -> Record? {
        guard let all = try DurableFile.read(path, bytesMax: Self.size * Self.count) else { return nil }
        return (0..<Self.count).compactMap { Self.record(in: all, slot: $0) }.max { $0.number < $1.number }
    }

    /// Gives the file all its blocks. They are written, not only set aside: the first write into blocks that a file system
    /// has only set aside may need room for its own notes.
    func prepare() throws(SystemError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        let length = Self.size * Self.count
        let present = lseek(file, 0, SEEK_END)
        guard present >= 0 else { throw SystemError("measure", path) }
        if present < length {
            // From where an attempt before this one came to.
            let zeros = [UInt8](repeating: 0, count: length - Int(present))
            try Self.put(zeros, into: file, at: Int(present), path)
        }
        guard fsync(file) == 0 else { throw SystemError("flush", path) }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        try DurableFile.flushFolder(folder.isEmpty ? "/" : folder)
    }

    /// On the disk when this returns. When it throws nobody knows what the place holds; the other one is as it was.
    func write(_ record: Record) throws(SystemError) {
        guard record.bytes.count <= Self.bytesMax else { throw SystemError("write", path, code: EFBIG) }
        let file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        try Self.put(Self.head(of: record) + record.bytes, into: file, at: record.slot * Self.size, path)
        guard fdatasync(file) == 0 else { throw SystemError("flush", path) }
    }

    private static func put(_ bytes: [UInt8], into file: Int32, at offset: Int, _ path: String) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(file, buffer.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset + done))
            }
            if count < 0, errno != EINTR { throw SystemError("write", path) }
            if count > 0 { done += count }
        }
    }

    // MARK: - Bytes

    private static func head(of record: Record) -> [UInt8] {
        let length = UInt64(record.bytes.count)
        let fields = [magic, record.number, length, checksum(record.number, record.bytes[...])]
        return fields.flatMap { field in (0..<8).map { UInt8(truncatingIfNeeded: field >> ($0 * 8)) } }
    }

    static func record(in file: [UInt8], slot: Int) -> Record? {
        let start = slot * size
        guard file.count >= start + size else { return nil }
        func field(_ index: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(file[start + index * 8 + $1]) << ($1 * 8) }
        }
        let (number, length) = (field(1), field(2))
        guard field(0) == magic, length <= UInt64(bytesMax) else { return nil }
        let bytes = file[(start + headSize)..<(start + headSize + Int(length))]
        guard field(3) == checksum(number, bytes) else { return nil }
        return Record(slot: slot, number: number, bytes: Array(bytes))
    }

    /// FNV-1a, 64 bits, over the number, the length and the bytes: against writes that broke off, not against people.
    private static func checksum(_ number: UInt64, _ bytes: ArraySlice<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func take(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        for field in [number, UInt64(bytes.count)] {
            for shift in 0..<8 { take(UInt8(truncatingIfNeeded: field >> (shift * 8))) }
        }
        for byte in bytes { take(byte) }
        return hash
    }
}
