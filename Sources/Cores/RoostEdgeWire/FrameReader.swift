/// A message as it travels: its kind, as a number that the reader may not know, and its body.
public struct EdgeFrame: Hashable, Sendable {
    /// The length of the body (four bytes) and the kind (two), both in network order.
    public static let headerBytes = 6
    /// A cluster's certificate chain and key are some kilobytes, all else is less.
    public static let bodyBytesMax = 256 << 10

    public var kind: UInt16
    public var body: [UInt8]

    public init(kind: UInt16, body: [UInt8] = []) {
        self.kind = kind
        self.body = body
    }

    /// Nil for a body that is too long to be sent.
    public var bytes: [UInt8]? {
        guard body.count <= Self.bodyBytesMax else { return nil }
        let length = UInt32(body.count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerBytes + body.count)
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(shift))) }
        bytes.append(UInt8(truncatingIfNeeded: kind >> 8))
        bytes.append(UInt8(truncatingIfNeeded: kind))
        return bytes + body
    }
}

/// Takes frames out of what arrives, however it is cut. Holds one frame and what came behind it with the same reading.
public struct FrameReader: Sendable {
    /// A frame longer than any may be: what follows cannot be read, and the connection has to go.
    public struct TooLong: Error, Hashable, CustomStringConvertible {
        public var bytes: UInt32
        public var description: String { "a frame of \(bytes) bytes; at most \(EdgeFrame.bodyBytesMax)" }
    }

    private var pending: [UInt8] = []
    private var start = 0

    public init() {}

    public mutating func append(_ bytes: [UInt8]) {
        if start > 0 {
            pending.removeSubrange(..<start)
            start = 0
        }
        pending += bytes
    }

    /// The next whole frame, or nil until more has come. Take all there are before appending more.
    public mutating func next() throws(TooLong) -> EdgeFrame? {
        guard pending.count - start >= EdgeFrame.headerBytes else { return nil }
        let length = pending[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard length <= UInt32(EdgeFrame.bodyBytesMax) else { throw TooLong(bytes: length) }
        let body = start + EdgeFrame.headerBytes
        guard pending.count - body >= Int(length) else { return nil }
        let kind = UInt16(pending[start + 4]) << 8 | UInt16(pending[start + 5])
        start = body + Int(length)
        return EdgeFrame(kind: kind, body: Array(pending[body..<start]))
    }
}
