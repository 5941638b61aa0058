public import RoostModel

/// All that a relay is told, whole each time: the supervisor writes it as a line of JSON, and the last one counts.
public struct RelayOrders: Hashable, Sendable, Codable {
    /// A line has at most so many bytes.
    public static let bytesMax = 64 << 10
    /// Beside Postgres's 5432, the 5433 of edges and the 5434 of beats.
    public static let portDefault: UInt16 = 5435

    /// Another member.
    public struct Peer: Hashable, Sendable, Codable {
        public var member: MemberName
        public var address: IPv6Address

        public init(member: MemberName, address: IPv6Address) {
            self.member = member
            self.address = address
        }
    }

    /// Whom this member follows.
    public struct Upstream: Hashable, Sendable, Codable {
        public var leader: MemberName
        /// Of this time of following: another number after the member has followed nobody, be it the same leader and the same
        /// stream again. What a relay knows of a stream counts for this number alone, also when it never saw the orders between.
        public var following: UInt64
        /// The stream's name, with member and epoch: a receiver that says another is not served.
        public var stream: String
        /// The number of the cluster's data, as `IDENTIFY_SYSTEM` says it.
        public var system: UInt64
        /// The leader's own timeline.
        public var timeline: UInt32
        /// What this member has of the leader's log; nil: nobody has proven anything.
        public var held: HeldLog?

        public init(
            leader: MemberName, following: UInt64 = 0, stream: String, system: UInt64, timeline: UInt32,
            held: HeldLog? = nil
        ) {
            self.leader = leader
            self.following = following
            self.stream = stream
            self.system = system
            self.timeline = timeline
            self.held = held
        }
    }

    /// Written back as a sign of life. It grows.
    public var number: UInt64
    public var member: MemberName
    public var address: IPv6Address
    /// That members follow with.
    public var password: String
    public var peers: [Peer]
    public var upstream: Upstream?

    public init(
        number: UInt64, member: MemberName, address: IPv6Address, password: String, peers: [Peer], upstream: Upstream?
    ) {
        self.number = number
        self.member = member
        self.address = address
        self.password = password
        self.peers = peers
        self.upstream = upstream
    }
}

/// The part of the leader's log that is proven to be on this member's own disk.
public struct HeldLog: Hashable, Sendable, Codable {
    /// Up to here, and not further.
    public var end: LSN
    /// In whose files the last of it is.
    public var timeline: UInt32
    /// Of a file of the log, chosen when the data was made.
    public var segmentBytes: UInt64

    public init(end: LSN, timeline: UInt32, segmentBytes: UInt64) {
        self.end = end
        self.timeline = timeline
        self.segmentBytes = segmentBytes
    }

    /// What of it a stream can begin with that is asked for from `start`; nil: nothing that fits exactly.
    ///
    /// - Parameter leads: the leader's own timeline. Its log is asked for under that number, or, up to where it begins, under
    ///   the number of the file.
    public func part(of start: StreamStart, leads: UInt32) -> HeldPart? {
        guard segmentBytes.nonzeroBitCount == 1, (1 << 20...1 << 30).contains(segmentBytes),
            start.timeline == leads || start.timeline == timeline, timeline <= leads,
            start.position.offset % segmentBytes == 0, start.position < end,
            end.offset - start.position.offset < segmentBytes
        else { return nil }
        return HeldPart(held: self, begin: start.position)
    }
}

/// A segment's beginning that this member has.
public struct HeldPart: Hashable, Sendable {
    public let held: HeldLog
    /// Of the segment.
    public let begin: LSN

    /// Where the leader is to go on.
    public var end: LSN { held.end }
    public var bytes: Int { Int(held.end.offset - begin.offset) }

    /// Timeline, which 4 GiB of the log, which segment of those (xlog_internal.h, XLogFileName).
    public var fileName: String {
        let number = begin.offset / held.segmentBytes
        let inEach = (UInt64(1) << 32) / held.segmentBytes
        return [UInt64(held.timeline), number / inEach, number % inEach].map {
            let digits = String($0, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(8 - digits.count, 0)) + digits
        }.joined()
    }
}
