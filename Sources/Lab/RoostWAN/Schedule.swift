import HeapModule

/// Delay lines and the order in which their first packets are due: one timer for all.
///
/// The heap holds one entry for each line that has packets, so its size is the number of lines, not of packets.
public struct Schedule: Sendable {
    public struct Departure: Sendable, Equatable {
        public var line: Int
        public var packet: DelayLine.Packet
    }

    private struct Head: Comparable {
        var due: Int64
        var sequence: UInt64
        var line: Int

        static func < (left: Head, right: Head) -> Bool {
            left.due != right.due ? left.due < right.due : left.sequence < right.sequence
        }
    }

    private var lines: ContiguousArray<DelayLine> = []
    private var heads = Heap<Head>()
    private var sequence: UInt64 = 0
    /// The line that packets are taken from now; it has no entry in the heap meanwhile.
    private var draining: Int?

    public init() {}

    public mutating func makeLine() -> Int {
        lines.append(DelayLine())
        return lines.count - 1
    }

    public func isEmpty(_ line: Int) -> Bool { lines[line].isEmpty }

    public mutating func push(_ slot: Int32, length: Int32, due: Int64, on line: Int) {
        if lines[line].isEmpty, draining != line { enter(line, due: due) }
        lines[line].push(due: due, slot: slot, length: length)
    }

    /// The next packet that is due by `now`. Packets of one line come in order, and in runs: that spares the heap.
    public mutating func pop(dueBy now: Int64) -> Departure? {
        while true {
            if let line = draining {
                if let packet = lines[line].pop(dueBy: now) { return Departure(line: line, packet: packet) }
                draining = nil
                if let due = lines[line].firstDue { enter(line, due: due) }
            }
            guard let first = heads.min, first.due <= now else { return nil }
            heads.removeMin()
            draining = first.line
        }
    }

    /// When the next packet is due. Ask after `pop` has returned nil.
    public var nextDue: Int64? {
        let drained = draining.flatMap { lines[$0].firstDue }
        guard let due = heads.min?.due else { return drained }
        return drained.map { min($0, due) } ?? due
    }

    private mutating func enter(_ line: Int, due: Int64) {
        heads.insert(Head(due: due, sequence: sequence, line: line))
        sequence += 1
    }
}
