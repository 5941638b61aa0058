import Foundation
import RoostLab
import RoostModel

extension LabPlanet {
    /// The root of small machines: a static busybox, enough to write files, listen and connect. Goes with the lab.
    var smallRoot: String { paths.imagesFolder + "/small" }

    var smallImage: String { "dir:\(smallRoot)" }

    func makeSmallRoot() throws {
        guard !FileManager.default.fileExists(atPath: smallRoot + "/bin/busybox") else { return }
        let part = smallRoot + ".part"
        try? FileManager.default.removeItem(atPath: part)
        for folder in ["bin", "etc", "proc", "sys", "dev", "tmp", "data"] {
            try FileManager.default.createDirectory(atPath: "\(part)/\(folder)", withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(atPath: "/bin/busybox", toPath: part + "/bin/busybox")
        for applet in [
            "sh", "sleep", "cat", "ping6", "ping", "nc", "wget", "dd", "sync", "ip", "id", "ls", "grep", "kill",
        ] {
            try FileManager.default.createSymbolicLink(atPath: "\(part)/bin/\(applet)", withDestinationPath: "busybox")
        }
        try FileManager.default.moveItem(atPath: part, toPath: smallRoot)
    }

    func removeSmallRoot() {
        for path in [smallRoot, smallRoot + ".part"] { try? FileManager.default.removeItem(atPath: path) }
    }
}
