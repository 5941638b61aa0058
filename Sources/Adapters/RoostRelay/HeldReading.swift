import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire

/// A part of the log that is read from this member's own disk, piece by piece.
final class HeldReading {
    private let part: HeldPart
    private let file: Int32
    private var done = 0

    /// Nil: there is no such file, or it is not one of a segment's size.
    init?(_ part: HeldPart, in folder: String) {
        let file = open("\(folder)/\(part.fileName)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        var facts = stat()
        guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG,
            facts.st_size == Int(clamping: part.held.segmentBytes)
        else {
            close(file)
            return nil
        }
        (self.part, self.file) = (part, file)
    }

    deinit { close(file) }

    enum Piece {
        case message([UInt8])
        case end
        case unreadable
    }

    func next() -> Piece {
        let wanted = min(part.bytes - done, LogPiece.bytesMax)
        guard wanted > 0 else { return .end }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            repeat { count = pread(file, buffer.baseAddress, wanted, off_t(done)) } while count < 0 && errno == EINTR
            filled = max(count, 0)
        }
        guard count > 0 else { return .unreadable }
        let begin = LSN(part.begin.offset + UInt64(done))
        done += count
        return .message(LogPiece.message(bytes, at: begin, end: part.end, sent: Self.wallClock()))
    }

    /// Microseconds since the beginning of 2000, as Postgres counts (timestamp.h).
    private static func wallClock() -> Int64 { (WallClock.milliseconds() - 946_684_800_000) * 1000 }
}
