import CLinux
import Glibc
import RoostModel

/// Takes in what a program writes to its two outputs, each up to a bound, and drops the rest, so that a program that
/// writes much is neither held up nor ended. It is over when the program has ended, not when the outputs have: a
/// process that the program has left in the background may keep them open for ever.
public final class OutputCollector: Sendable {
    /// What came from one output.
    public struct Stream: Sendable {
        /// The first bytes, up to the bound.
        public var bytes: [UInt8] = []
        /// There were more.
        public var isTruncated = false

        /// What is no UTF-8 becomes U+FFFD.
        public var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// What the program's processes may still write after it has ended.
    public static let lingerMax = Duration.milliseconds(100)

    /// For the program. This process closes its own copies by ``programHasEnded()``.
    public let output: Int32
    /// For the program's complaints.
    public let error: Int32
    private let sources: [Int32]
    private let bell: Int32
    private let bytesMax: Int

    /// - Parameter bytesMax: of each output.
    public init(bytesMax: Int) throws(SystemError) {
        var first: [Int32] = [-1, -1]
        var second: [Int32] = [-1, -1]
        let bell = eventfd(0, Int32(EFD_CLOEXEC))
        guard bell >= 0, Self.makePipe(&first), Self.makePipe(&second) else {
            let code = errno
            for file in first + second + [bell] where file >= 0 { close(file) }
            throw SystemError("open", "pipes", code: code)
        }
        self.bell = bell
        self.bytesMax = bytesMax
        (output, error) = (first[1], second[1])
        sources = [first[0], second[0]]
    }

    private static func makePipe(_ ends: inout [Int32]) -> Bool {
        // The program's end waits when the pipe is full, as programs expect.
        guard pipe(&ends) == 0 else { return false }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0
    }

    deinit { for file in sources + [bell] { close(file) } }

    /// Call it exactly once, whether the program ran or could not be started: ``collect()`` returns a moment later.
    public func programHasEnded() {
        close(output)
        close(error)
        var one: UInt64 = 1
        write(bell, &one, 8)
    }

    /// Waits for the end of the program: on a thread of its own.
    public func collect() -> (output: Stream, error: Stream) {
        var streams = [Stream(), Stream()]
        var isOpen = [true, true]
        var end: Moment?
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while isOpen[0] || isOpen[1] {
            var waiting = [0, 1].map { pollfd(fd: isOpen[$0] ? sources[$0] : -1, events: Int16(POLLIN), revents: 0) }
            waiting.append(pollfd(fd: end == nil ? bell : -1, events: Int16(POLLIN), revents: 0))
            let patience = end.map { Int32(clamping: max(0, ($0 - BootClock.now()).milliseconds)) } ?? -1
            let ready = poll(&waiting, nfds_t(waiting.count), patience)
            if ready < 0, errno == EINTR { continue }
            if ready <= 0 { break }
            if waiting[2].revents != 0 { end = BootClock.now() + Self.lingerMax }
            for index in 0...1 where waiting[index].revents != 0 {
                let count = read(sources[index], &chunk, chunk.count)
                if count > 0 {
                    let room = bytesMax - streams[index].bytes.count
                    streams[index].bytes += chunk[..<min(count, room)]
                    if count > room { streams[index].isTruncated = true }
                } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                    isOpen[index] = false
                }
            }
            // A process in the background that writes and writes.
            if let end, BootClock.now() >= end { break }
        }
        return (streams[0], streams[1])
    }
}
