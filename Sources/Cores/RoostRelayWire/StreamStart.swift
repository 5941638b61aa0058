public import RoostModel

/// `START_REPLICATION` as a receiver of Postgres writes it (libpqwalreceiver.c, libpqrcv_startstreaming).
public struct StreamStart: Hashable, Sendable {
    public var slot: String
    public var position: LSN
    public var timeline: UInt32

    public init(slot: String, position: LSN, timeline: UInt32) {
        self.slot = slot
        self.position = position
        self.timeline = timeline
    }

    /// Nil for everything else, also what means the same in other words: that is carried on as it is.
    public init?(_ query: String) {
        let words = query.split(separator: " ")
        guard words.count == 6, words[0] == "START_REPLICATION", words[1] == "SLOT", words[4] == "TIMELINE",
            let timeline = UInt32(words[5]), let position = LSN(text: words[3]),
            words[2].count > 2, words[2].hasPrefix("\""), words[2].hasSuffix("\"")
        else { return nil }
        let slot = words[2].dropFirst().dropLast()
        guard slot.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }) else { return nil }
        self.init(slot: String(slot), position: position, timeline: timeline)
    }

    public var query: String { "START_REPLICATION SLOT \"\(slot)\" \(position) TIMELINE \(timeline)" }
}

/// What the near side asks the far side for, over a connection that is this stream's from then on:
///
///     1 'O'   4 length of what follows   8 system   4 timeline   1 length of the stream's name   the name   the query
///
/// The bytes behind it are the receiver's own.
public struct StreamRequest: Hashable, Sendable {
    /// Of the body.
    static let bytesMax = 4096
    static let type: Character = "O"
    private static let nameBytesMax = 127

    /// What the receiver calls itself: `application_name`.
    public var stream: String
    /// What the receiver was told that the leader has: the far side sees that it is so.
    public var system: UInt64
    public var timeline: UInt32
    public var query: String

    public init(stream: String, system: UInt64, timeline: UInt32, query: String) {
        self.stream = stream
        self.system = system
        self.timeline = timeline
        self.query = query
    }

    /// Nil: there is more of it than the far side takes.
    public var bytes: [UInt8]? {
        guard (1...Self.nameBytesMax).contains(stream.utf8.count) else { return nil }
        var body: [UInt8] = []
        body.append(number: system)
        body.append(number: timeline)
        body.append(UInt8(stream.utf8.count))
        body += stream.utf8
        body += query.utf8
        guard body.count <= Self.bytesMax else { return nil }
        // The same form as Postgres's messages.
        return WireMessage(Self.type, body).bytes
    }

    /// The same stream, from where the part that is held ends.
    public func skipping(_ part: HeldPart) -> StreamRequest {
        guard var start = StreamStart(query) else { return self }
        start.position = part.end
        var later = self
        later.query = start.query
        return later
    }

    init?(_ message: WireMessage) {
        let body = message.body
        guard message.type == Self.type.asciiValue, body.count > 13 else { return nil }
        let count = Int(body[12])
        guard (1...Self.nameBytesMax).contains(count), body.count > 13 + count, !body[13...].contains(0) else {
            return nil
        }
        self.init(
            stream: String(decoding: body[13..<(13 + count)], as: UTF8.self), system: body.number(),
            timeline: body[8...].number(), query: String(decoding: body[(13 + count)...], as: UTF8.self))
    }

    /// A member asks for its own stream, of whatever epoch.
    func isOf(_ member: MemberName) -> Bool {
        stream.hasPrefix("\(member).e") && UInt64(stream.dropFirst(member.text.utf8.count + 2)) != nil
    }
}

/// Reads the one request that comes over a proven connection, and the questions before it whether somebody is there.
public struct StreamRequestReader: Hashable, Sendable {
    private let member: MemberName
    private var reader = MessageReader(bytesMax: StreamRequest.bytesMax)
    private var answers: [UInt8] = []

    /// - Parameter member: who is at the other end.
    public init(from member: MemberName) { self.member = member }

    public enum Outcome: Hashable, Sendable {
        case more
        /// And the receiver's own bytes behind it.
        case request(StreamRequest, rest: [UInt8])
        case refused
    }

    public mutating func read(_ bytes: some Sequence<UInt8>) -> Outcome {
        reader.append(bytes)
        do throws(WireError) {
            var next = try reader.next()
            while let message = next, message.bytes == WarmWatch.question {
                answers += WarmWatch.answer
                next = try reader.next()
            }
            guard let message = next else { return .more }
            guard let request = StreamRequest(message), request.isOf(member) else { return .refused }
            return .request(request, rest: reader.takeRest())
        } catch {
            return .refused
        }
    }

    /// To the questions that have come; to be sent before anything else.
    public mutating func takeAnswers() -> [UInt8] {
        defer { answers = [] }
        return answers
    }
}
