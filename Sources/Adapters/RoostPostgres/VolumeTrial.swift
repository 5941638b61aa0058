import CLinux
import Glibc
import RoostLinux
import RoostModel
import Synchronization

/// Tries whether the volume takes writes, by a small file that is written, flushed and removed.
final class VolumeTrial: Sendable {
    private struct State {
        /// When the trial that is under way was begun.
        var since: Moment?
        var fault: SystemError?
    }

    private let folder: String
    private let state = Mutex(State())

    /// - Parameter folder: the volume's, as this process sees it.
    init(folder: String) { self.folder = folder }

    /// What the disk did not do in the last trial that came to an end.
    var fault: SystemError? { state.withLock { $0.fault } }

    /// When the trial began that has not come to an end; nil: none is under way.
    var underWaySince: Moment? { state.withLock { $0.since } }

    /// One at a time: a disk that hangs has one thread of this program, and holds up nobody.
    func begin() {
        let isFirst = state.withLock { state in
            guard state.since == nil else { return false }
            state.since = BootClock.now()
            return true
        }
        guard isFirst else { return }
        // Without a parent, which would wait for it.
        Task { await self.carryOut() }
    }

    private func carryOut() async {
        let failure = await BlockingCall.run { [folder] in Self.failure(in: folder) }
        state.withLock { state in
            state.since = nil
            state.fault = failure.flatMap { Self.isOfTheDisk($0) ? $0 : nil }
        }
    }

    /// On a thread that may wait. The name is known: a link or a pipe that somebody has put there is not followed.
    static func failure(in folder: String) -> SystemError? {
        let path = folder + "/roost-trial"
        // Of a program that was killed.
        if let failure = removal(of: path) { return failure }
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { return SystemError("write", path) }
        var failure: SystemError?
        var byte: UInt8 = 0
        if Glibc.write(file, &byte, 1) != 1 || fsync(file) != 0 { failure = SystemError("write", path) }
        close(file)
        return failure ?? removal(of: path)
    }

    private static func removal(of path: String) -> SystemError? {
        unlink(path) == 0 || errno == ENOENT ? nil : SystemError("remove", path)
    }

    /// A full volume takes no writes either, and nobody mends that by mounting it anew; a program without room for one
    /// more file knows nothing of the volume.
    private static func isOfTheDisk(_ error: SystemError) -> Bool {
        switch error.code {
        case EROFS, EIO, EUCLEAN, ESHUTDOWN: true
        default: false
        }
    }
}
