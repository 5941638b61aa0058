import Glibc
import RoostLinux
import RoostModel
import RoostRuntime

/// Who process 1 runs as: the image's `User`, looked up in the image's own /etc/passwd and /etc/group.
struct ImageUser: Hashable {
    var uid: UInt32
    var gid: UInt32
    var additionalGids: [UInt32]

    static let root = ImageUser(uid: 0, gid: 0, additionalGids: [])
    static let fileBytesMax = 4 << 20
    static let linksMax = 40
    static let groupsMax = 64

    /// - Parameter text: `name`, `uid`, `name:group`, `uid:gid` or nothing.
    init(_ text: String, root: String, image: String) throws(RuntimeError) {
        let passwd = try Self.lines("/etc/passwd", in: root)
        let groups = try Self.lines("/etc/group", in: root)
        try self.init(text, passwd: passwd, groups: groups, image: image)
    }

    init(uid: UInt32, gid: UInt32, additionalGids: [UInt32]) {
        self.uid = uid
        self.gid = gid
        self.additionalGids = additionalGids
    }

    init(_ text: String, passwd: [[String]], groups: [[String]], image: String) throws(RuntimeError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts.first.flatMap { $0.isEmpty ? nil : $0 } ?? "0"
        let entry = passwd.first { $0.count >= 4 && ($0[0] == name || $0[2] == name) }
        guard let uid = entry.flatMap({ UInt32($0[2]) }) ?? UInt32(name) else {
            throw RuntimeError(
                code: .imageInvalid, operation: "find the user", subject: image,
                cause: "its user '\(name)' is not in its /etc/passwd")
        }
        self.uid = uid
        if parts.count == 2, !parts[1].isEmpty {
            let group = parts[1]
            let found = groups.first { $0.count >= 3 && ($0[0] == group || $0[2] == group) }
            guard let gid = found.flatMap({ UInt32($0[2]) }) ?? UInt32(group) else {
                throw RuntimeError(
                    code: .imageInvalid, operation: "find the user", subject: image,
                    cause: "its group '\(group)' is not in its /etc/group")
            }
            self.gid = gid
            additionalGids = []
        } else {
            let gid = entry.flatMap { UInt32($0[3]) } ?? 0
            self.gid = gid
            let userName = entry?[0] ?? name
            additionalGids = Array(
                groups.filter { $0.count >= 4 && $0[3].split(separator: ",").contains { $0 == userName } }
                    .compactMap { UInt32($0[2]) }.filter { $0 != gid }.prefix(Self.groupsMax))
        }
    }

    private static func lines(_ path: String, in root: String) throws(RuntimeError) -> [[String]] {
        guard let file = resolve(path, in: root) else { return [] }
        do {
            guard let bytes = try DurableFile.read(file, bytesMax: fileBytesMax) else { return [] }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }
        } catch {
            throw RuntimeError(code: .imageInvalid, operation: "read", subject: root, cause: error.description)
        }
    }

    /// The host's path of a path in the image. Links are followed inside the image only: an image must not make the
    /// host read the host's own files.
    static func resolve(_ path: String, in root: String) -> String? {
        var pending = path.split(separator: "/").map(String.init)[...]
        var done: [String] = []
        var links = 0
        while let part = pending.popFirst() {
            if part == "." { continue }
            if part == ".." {
                _ = done.popLast()
                continue
            }
            let full = ([root] + done + [part]).joined(separator: "/")
            var file = stat()
            guard lstat(full, &file) == 0 else { return nil }
            guard file.st_mode & S_IFMT == S_IFLNK else {
                done.append(part)
                continue
            }
            links += 1
            var target = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(full, &target, target.count)
            guard links <= linksMax, count > 0 else { return nil }
            let text = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("/") { done = [] }
            pending = text.split(separator: "/").map(String.init)[...] + pending
        }
        return ([root] + done).joined(separator: "/")
    }
}
