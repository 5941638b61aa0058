import CLinux
import Glibc
import RoostLinux
import Synchronization

/// Keeps the older half of every machine's log.
///
/// When a log is full, conmon makes a new file, gives it the log's name and drops the full one. So each log has a
/// second name here: when the first one has gone to a new file, the second still names the full one, and becomes
/// `….older`. One thread listens to the folder (inotify(7)); what happened while nobody listened is seen at the start.
final class LogHalves: Sendable {
    private let core: Core

    init(folder: String) throws(SystemError) {
        core = try Core(folder: folder)
        let core = core
        try OwnThread.start("logs") { core.run() }
    }

    deinit { core.stop() }

    /// Gives the log its second name, and what had it before the name of the older half.
    static func hold(_ log: String) {
        let held = MachineFolders.held(log)
        var now = stat()
        guard stat(log, &now) == 0 else { return }
        var before = stat()
        if stat(held, &before) == 0 {
            if before.st_ino == now.st_ino { return }
            rename(held, MachineFolders.older(log))
        }
        link(log, held)
    }

    private final class Core: Sendable {
        private let folder: String
        private let inotify: Int32
        private let bell: Int32

        private static let suffix = ".log"

        init(folder: String) throws(SystemError) {
            self.folder = folder
            inotify = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
            bell = eventfd(0, Int32(EFD_CLOEXEC))
            guard inotify >= 0, bell >= 0,
                inotify_add_watch(inotify, folder, UInt32(IN_MOVED_TO) | UInt32(IN_CREATE)) >= 0
            else { throw SystemError("watch", folder) }
        }

        deinit {
            if inotify >= 0 { close(inotify) }
            if bell >= 0 { close(bell) }
        }

        func stop() {
            var one: UInt64 = 1
            write(bell, &one, 8)
        }

        func run() {
            for name in (try? FolderListing.names(in: folder)) ?? [] { see(name) }
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                var waiting = [
                    pollfd(fd: inotify, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: bell, events: Int16(POLLIN), revents: 0),
                ]
                guard poll(&waiting, 2, -1) > 0 || errno == EINTR else { return }
                if waiting[1].revents != 0 { return }
                let count = read(inotify, &buffer, buffer.count)
                guard count > 0 else {
                    guard errno == EAGAIN || errno == EINTR else { return }
                    continue
                }
                for name in Self.names(buffer[..<count]) { see(name) }
            }
        }

        private func see(_ name: String) { if name.hasSuffix(Self.suffix) { LogHalves.hold(folder + "/" + name) } }

        /// inotify(7): four 32-bit numbers, the last of which is the length of the name that follows.
        private static func names(_ events: ArraySlice<UInt8>) -> [String] {
            let headBytes = 16
            var names: [String] = []
            var at = events.startIndex
            while at + headBytes <= events.endIndex {
                let length = (0..<4).reduce(0) { $0 | Int(events[at + 12 + $1]) << (8 * $1) }
                let start = at + headBytes
                guard start + length <= events.endIndex else { break }
                names.append(String(decoding: events[start..<(start + length)].prefix { $0 != 0 }, as: UTF8.self))
                at = start + length
            }
            return names
        }
    }
}
