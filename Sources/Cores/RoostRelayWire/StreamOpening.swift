public import RoostModel

/// The first answer to a carried request, as the near side waits for it: only a leader that has accepted the stream has
/// this member hand out what it has itself.
public struct StreamOpening: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        case more
        /// The stream is on: first this goes to the receiver, then the held part if there is one, then `rest` and all that comes.
        case accepted([UInt8], rest: [UInt8])
        /// An answer of another kind: it goes to the receiver as it is, and so does all that comes.
        case other([UInt8])
    }

    /// Of the answer that begins a stream: the number of columns' formats, of which there are none.
    private static let bytesMax = 64

    private var buffer: [UInt8]

    /// - Parameter unread: what came of an answer to the last question (``WarmWatch``) before the connection was this stream's.
    public init(after unread: [UInt8] = []) { buffer = unread }

    public mutating func read(_ bytes: some Sequence<UInt8>) -> Outcome {
        buffer += bytes
        // The last question may have been answered behind the request.
        let answer = WarmWatch.answer
        if let first = buffer.first, first == answer.first {
            guard buffer.count >= answer.count else { return .more }
            guard buffer.starts(with: answer) else { return .other(buffer) }
            buffer.removeFirst(answer.count)
        }
        // CopyBothResponse (PostgreSQL manual, 53.7).
        guard let first = buffer.first else { return .more }
        guard first == UInt8(ascii: "W") else { return .other(buffer) }
        guard buffer.count >= 5 else { return .more }
        let length = Int(buffer[1...].number(as: UInt32.self))
        guard (4...Self.bytesMax).contains(length) else { return .other(buffer) }
        guard buffer.count > length else { return .more }
        return .accepted(Array(buffer[...length]), rest: Array(buffer[(length + 1)...]))
    }
}

/// A piece of the log as a leader sends it (PostgreSQL manual, 53.4, XLogData).
public enum LogPiece {
    /// Of one piece, as a walsender's (walsender.c, MAX_SEND_SIZE).
    public static let bytesMax = 128 << 10
    static let headerBytes = 25

    /// - Parameters:
    ///   - end: how far the log goes, as far as the sender knows.
    ///   - sent: microseconds since the beginning of 2000.
    public static func message(_ bytes: [UInt8], at begin: LSN, end: LSN, sent: Int64) -> [UInt8] {
        var body: [UInt8] = [UInt8(ascii: "w")]
        body.reserveCapacity(bytes.count + headerBytes)
        body.append(number: begin.offset)
        body.append(number: end.offset)
        body.append(number: sent)
        return WireMessage("d", body + bytes).bytes
    }
}
