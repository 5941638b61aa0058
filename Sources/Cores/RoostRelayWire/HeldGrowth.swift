import RoostModel

/// What a stream that passes has brought to this member's disk for certain: the receiver has said that it has flushed it,
/// after the leader's bytes up to there went by. Looks at both directions, and holds nothing back.
public struct HeldGrowth: Hashable, Sendable {
    private let begin: LSN
    private let timeline: UInt32
    private let segmentBytes: UInt64
    private var sent = MessageScanner()
    private var said = MessageScanner()
    private var delivered: LSN
    /// The first position it says is what it had before.
    private var before: LSN?
    private var flushed: LSN?
    /// The timeline's end, or another request: what comes now may be of another timeline.
    private var isOver = false

    /// - Parameters:
    ///   - start: as the leader was asked.
    ///   - segmentBytes: of a file of the log.
    public init(from start: StreamStart, segmentBytes: UInt64) {
        begin = start.position
        timeline = start.timeline
        self.segmentBytes = segmentBytes
        delivered = start.position
    }

    /// Nil: nothing yet.
    public var held: HeldLog? {
        guard let flushed, min(flushed, delivered) > begin else { return nil }
        return HeldLog(end: min(flushed, delivered), timeline: timeline, segmentBytes: segmentBytes)
    }

    /// The leader's bytes, from the first after its acceptance.
    public mutating func sent(_ bytes: ArraySlice<UInt8>) {
        sent.scan(bytes) { message in
            switch message.type {
            case UInt8(ascii: "d"):
                guard !isOver, message.beginning.first == UInt8(ascii: "w"), message.beginning.count >= 9,
                    message.bodyBytes >= LogPiece.headerBytes
                else { return }
                let start: UInt64 = message.beginning[1...].number()
                let (end, isTooFar) = start.addingReportingOverflow(UInt64(message.bodyBytes - LogPiece.headerBytes))
                // No log goes so far: what says so shows nothing from here on.
                guard !isTooFar else { return isOver = true }
                delivered = max(delivered, LSN(end))
            default: isOver = true
            }
        }
    }

    /// The receiver's, from the first after its request.
    public mutating func said(_ bytes: ArraySlice<UInt8>) {
        said.scan(bytes) { message in
            switch message.type {
            case UInt8(ascii: "d"):
                // Standby status update: 8 written, 8 flushed.
                guard !isOver, message.beginning.first == UInt8(ascii: "r"), message.beginning.count >= 17 else {
                    return
                }
                let position = LSN(message.beginning[9...].number())
                guard let before else { return before = position }
                if position > before { flushed = max(flushed ?? position, position) }
            default: isOver = true
            }
        }
    }
}

/// Finds where messages begin in bytes that pass, and keeps the first few of each.
struct MessageScanner: Hashable, Sendable {
    struct Message {
        var type: UInt8
        var beginning: [UInt8]
        var bodyBytes: Int
    }

    private static let keptBytes = 17
    private static let headBytes = 5

    private var head: [UInt8] = []
    /// Of the message's body, that have not come yet.
    private var left = 0
    /// It is not the protocol: nothing more is found.
    private var isLost = false

    /// Says each message once all of it has passed.
    mutating func scan(_ bytes: ArraySlice<UInt8>, _ body: (Message) -> Void) {
        var bytes = bytes
        while !isLost, !bytes.isEmpty {
            if head.count < Self.headBytes {
                let part = bytes.prefix(Self.headBytes - head.count)
                head += part
                bytes = bytes.dropFirst(part.count)
                guard head.count == Self.headBytes else { return }
                let length = Int(head[1...].number(as: UInt32.self))
                guard (4...1 << 30).contains(length) else {
                    isLost = true
                    return
                }
                left = length - 4
            }
            let part = bytes.prefix(left)
            head += part.prefix(Self.headBytes + Self.keptBytes - head.count)
            left -= part.count
            bytes = bytes.dropFirst(part.count)
            guard left == 0 else { return }
            let length = Int(head[1...].number(as: UInt32.self))
            body(Message(type: head[0], beginning: Array(head.dropFirst(Self.headBytes)), bodyBytes: length - 4))
            head = []
        }
    }
}
