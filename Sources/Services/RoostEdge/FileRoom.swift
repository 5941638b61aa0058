import Glibc
import RoostRouting

/// How many clients an edge has open files for: a session takes two, one that is being told that it is too many takes one.
/// What is left is for the listeners, the event loops, the links to roostd and the guard, and cancel requests, which go to
/// several members. So an edge that is full says so, and is not out of files.
struct FileRoom: Hashable, Sendable {
    /// For all but clients.
    static let ownMax = 512

    let sessions: Int
    let refusals: Int

    /// - Parameters:
    ///   - files: how many there may be.
    ///   - refusalsMax: how many are told at a time where there are files enough.
    init(files: UInt64, refusalsMax: Int) {
        guard let files = Int32(exactly: files).map(Int.init) else {
            (sessions, refusals) = (.max, refusalsMax)
            return
        }
        refusals = min(refusalsMax, files / 8)
        sessions = max((files - min(files / 4, Self.ownMax) - refusals) / 2, 1)
    }

    /// Raises the limit of this process as far as it may.
    static func ofThisProcess(_ limits: Admission.Limits) -> FileRoom {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0 else { return FileRoom(files: .max, refusalsMax: limits.refusalsMax) }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            setrlimit(kind, &limit)
            getrlimit(kind, &limit)
        }
        return FileRoom(files: UInt64(limit.rlim_cur), refusalsMax: limits.refusalsMax)
    }
}
