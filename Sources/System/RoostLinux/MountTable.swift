/// What is mounted where, in this process's mount namespace.
public struct MountTable: Sendable {
    /// One line of the table.
    public struct Mount: Hashable, Sendable {
        /// `major:minor` of the filesystem's device.
        public var device: String
        /// Where it is mounted, as this process sees the path.
        public var point: String
        /// As mount(8) calls it: `ext4`, `overlay`, `cgroup2` …
        public var type: String
        /// What is mounted, for example `/dev/loop3`; a word of the filesystem's own where there is no device.
        public var source: String
        /// The superblock's options, comma-separated.
        public var options: String

        /// The kernel says that the filesystem takes no writes, whoever asks. After an error ext4 said `ro` before Linux
        /// 6.12 (d3476f3dad4a: "don't set SB_RDONLY after filesystem errors"), and says `emergency_ro` or `shutdown` since
        /// the series "correct behaviors under errors=remount-ro mode" of January 2025. Kernels between the two, such as
        /// that of Debian 13, say `rw` although every write fails: there only a write or ext4's own count of errors
        /// tells.
        public var isReadOnly: Bool {
            options.split(separator: ",").contains { $0 == "ro" || $0 == "emergency_ro" || $0 == "shutdown" }
        }
    }

    /// In the order of the table: of several at one point the last is the one that is seen.
    public let mounts: [Mount]

    /// The table at this moment.
    /// - Throws: ``SystemError`` where /proc is not mounted.
    public static func current() throws(SystemError) -> MountTable {
        let path = "/proc/self/mountinfo"
        guard let bytes = try DurableFile.read(path) else { throw SystemError("open", path) }
        return MountTable(mountinfo: bytes)
    }

    /// The format of proc_pid_mountinfo(5).
    public init(mountinfo text: String) { self.init(mountinfo: Array(text.utf8)) }

    /// Taken apart as bytes: a host has some mounts of each of its machines, and characters take eight times as long.
    private init(mountinfo bytes: [UInt8]) {
        mounts = bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " "))
            guard let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }), dash >= 6,
                fields.count > dash + 2
            else { return nil }
            return Mount(
                device: String(decoding: fields[2], as: UTF8.self), point: Self.unescape(fields[4]),
                type: String(decoding: fields[dash + 1], as: UTF8.self), source: Self.unescape(fields[dash + 2]),
                options: fields.count > dash + 3 ? Self.unescape(fields[dash + 3]) : "")
        }
    }

    /// The topmost mount at exactly this path.
    public func at(_ path: String) -> Mount? { mounts.last { $0.point == path } }

    /// Space, tab, newline and backslash are written as `\` and three octal digits.
    private static func unescape(_ all: ArraySlice<UInt8>) -> String {
        let backslash = UInt8(ascii: "\\")
        guard all.contains(backslash) else { return String(decoding: all, as: UTF8.self) }
        var bytes: [UInt8] = []
        var index = all.startIndex
        while index < all.endIndex {
            if all[index] == backslash, index + 3 < all.endIndex,
                let value = UInt8(String(decoding: all[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                index += 4
            } else {
                bytes.append(all[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
