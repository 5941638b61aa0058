/// Packets under way in one direction, first in, first out: a ring of moments and buffer numbers.
///
/// Times are nanoseconds of the caller's monotonic clock.
public struct DelayLine: Sendable {
    public struct Packet: Sendable, Equatable {
        public var due: Int64
        public var slot: Int32
        public var length: Int32

        public init(due: Int64, slot: Int32, length: Int32) {
            self.due = due
            self.slot = slot
            self.length = length
        }
    }

    private var ring: ContiguousArray<Packet>
    private var head = 0
    public private(set) var count = 0
    private var lastDue = Int64.min

    public init() {
        ring = ContiguousArray(repeating: Packet(due: 0, slot: 0, length: 0), count: 16)
    }

    public var isEmpty: Bool { count == 0 }
    public var firstDue: Int64? { count == 0 ? nil : ring[head].due }

    /// A packet never overtakes one that is under way, also when the delay has become shorter meanwhile.
    public mutating func push(due: Int64, slot: Int32, length: Int32) {
        if count == ring.count { grow() }
        let due = count == 0 ? due : max(due, lastDue)
        lastDue = due
        ring[(head + count) & (ring.count - 1)] = Packet(due: due, slot: slot, length: length)
        count += 1
    }

    public mutating func pop(dueBy now: Int64) -> Packet? {
        guard count > 0, ring[head].due <= now else { return nil }
        let packet = ring[head]
        head = (head + 1) & (ring.count - 1)
        count -= 1
        return packet
    }

    private mutating func grow() {
        var larger = ContiguousArray(repeating: Packet(due: 0, slot: 0, length: 0), count: ring.count * 2)
        for index in 0..<count { larger[index] = ring[(head + index) & (ring.count - 1)] }
        ring = larger
        head = 0
    }
}
