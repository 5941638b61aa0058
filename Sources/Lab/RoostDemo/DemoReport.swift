public import RoostModel

/// What the demo measured.
public struct DemoReport: Sendable, Codable {
    /// Where a client's connection went.
    public struct Landing: Sendable, Codable, Hashable {
        public var client: String
        public var port: UInt16
        public var edge: HostName
        public var member: MemberName
        public var memberHost: HostName
        /// Of the shortest of some queries.
        public var roundTripMilliseconds: Double

        enum CodingKeys: String, CodingKey {
            case client, port, edge, member
            case memberHost = "member_host"
            case roundTripMilliseconds = "rtt_ms"
        }
    }

    public struct Event: Sendable, Codable, Hashable {
        public var title: String
        /// Since the writer began.
        public var atMilliseconds: Int64
        /// The longest time without a confirmed row that the event caused.
        public var gapMilliseconds: Int64
        public var leader: MemberName?
        public var epoch: Epoch
        /// Where the client in the first region reached the platform afterwards.
        public var edge: HostName?

        enum CodingKeys: String, CodingKey {
            case title, leader, epoch, edge
            case atMilliseconds = "at_ms"
            case gapMilliseconds = "write_gap_ms"
        }
    }

    public var lab: String
    public var cluster: AppName
    public var upMilliseconds: Int64
    public var createMilliseconds: Int64
    public var before: [Landing]
    public var events: [Event]
    public var after: [Landing]
    public var rowsConfirmed: Int
    public var rowsLost: Int

    enum CodingKeys: String, CodingKey {
        case lab, cluster, before, events, after
        case upMilliseconds = "up_ms"
        case createMilliseconds = "create_ms"
        case rowsConfirmed = "rows_confirmed"
        case rowsLost = "rows_lost"
    }
}
