import CLinux
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
    static let groupsMax = 64
    /// The OCI runtimes take no larger id.
    static let idMax: UInt32 = 2_147_483_647

    /// - Parameter text: `name`, `uid`, `name:group`, `uid:gid` or nothing.
    init(_ text: String, root: String, image: String) throws(RuntimeError) {
        let passwd = try Self.lines("/etc/passwd", in: root, image)
        let groups = try Self.lines("/etc/group", in: root, image)
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
        uid = try Self.id(entry?[2] ?? name, of: "user '\(name)'", in: "/etc/passwd", image)
        if parts.count == 2, !parts[1].isEmpty {
            let group = parts[1]
            let found = groups.first { $0.count >= 3 && ($0[0] == group || $0[2] == group) }
            gid = try Self.id(found?[2] ?? group, of: "group '\(group)'", in: "/etc/group", image)
            additionalGids = []
            return
        }
        // Nobody says which: root's, as Docker has it.
        let own: UInt32
        if let entry {
            own = try Self.id(entry[3], of: "group of user '\(name)'", in: "/etc/passwd", image)
        } else {
            own = 0
        }
        gid = own
        let userName = entry?[0] ?? name
        var others: [UInt32] = []
        for group in groups where group.count >= 4 && group[3].split(separator: ",").contains(Substring(userName)) {
            let id = try Self.id(group[2], of: "group '\(group[0])'", in: "/etc/group", image)
            if id != own, others.count < Self.groupsMax { others.append(id) }
        }
        additionalGids = others
    }

    /// A number that is there but cannot be one must never become another, root's least of all.
    private static func id(_ text: String, of what: String, in file: String, _ image: String) throws(RuntimeError)
        -> UInt32
    {
        let wrong: String
        if text.isEmpty || !text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            wrong = "its \(what) is not in its \(file)"
        } else if let id = UInt32(text), id <= idMax {
            return id
        } else {
            wrong = "its \(what) has an id outside 0 to \(idMax)"
        }
        throw RuntimeError(code: .imageInvalid, operation: "find the user", subject: image, cause: wrong)
    }

    /// On a thread that may wait.
    private static func lines(_ path: String, in root: String, _ image: String) throws(RuntimeError) -> [[String]] {
        do {
            guard let bytes = try ForeignFile.read(path, in: root, bytesMax: fileBytesMax) else { return [] }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }
        } catch { throw unreadable(error, path, image) }
    }

    static func unreadable(_ error: SystemError, _ path: String, _ image: String) -> RuntimeError {
        RuntimeError(
            code: ForeignFile.isDoomed(error) ? .imageInvalid : .failed, operation: error.operation, subject: image,
            cause: "its \(path): \(String(cString: strerror(error.code)))")
    }
}
