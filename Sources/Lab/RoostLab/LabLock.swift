import CLinux
import Glibc
import RoostLinux
import RoostModel

/// Held while a lab is changed: two commands at once would build and tear down the same things.
final class LabLock: @unchecked Sendable {
    private let file: Int32
    private let path: String

    private static let triesMax = 10
    /// How long a change of one host waits for another to end.
    static let turnMax = Duration.seconds(60)

    /// Waits for others that change the lab.
    static func turn(_ paths: LabPaths) async throws -> LabLock {
        let end = BootClock.now() + turnMax
        while true {
            do {
                return try LabLock(paths)
            } catch let error as LabError {
                guard BootClock.now() < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    init(_ paths: LabPaths) throws {
        path = paths.lockFile
        for _ in 0..<Self.triesMax {
            try DurableFile.makeFolder(LabPaths.runRoot)
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else {
                // The folder was empty a moment ago and is gone with its last lab.
                if errno == ENOENT { continue }
                throw SystemError("open", path)
            }
            guard FileLock.hold(file) else {
                close(file)
                throw LabError(
                    .failed, "another command is changing the lab '\(paths.name)'",
                    advice: "wait for it to end, then try again")
            }
            // Whoever held it before has removed the file: then this is a lock on nothing.
            if Self.isCurrent(file, path) {
                self.file = file
                return
            }
            close(file)
        }
        throw LabError(.failed, "could not lock the lab '\(paths.name)'", advice: "try again")
    }

    func release() {
        unlink(path)
        close(file)
        rmdir(LabPaths.runRoot)
    }

    private static func isCurrent(_ file: Int32, _ path: String) -> Bool {
        var mine = stat()
        var there = stat()
        return fstat(file, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino
    }
}
