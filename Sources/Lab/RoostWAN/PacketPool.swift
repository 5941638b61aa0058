/// Buffers for packets on their way, made once and used again: no allocation in the path of a packet.
final class PacketPool {
    /// A TUN device hands over at most its MTU, 1500 bytes in the lab.
    static let slotBytes = 2048
    static let slotsPerChunk = 1024
    static let slotsMax = 64 * slotsPerChunk

    private var chunks: [UnsafeMutableRawPointer] = []
    private var free: ContiguousArray<Int32> = []

    init() { free.reserveCapacity(Self.slotsMax) }

    deinit {
        for chunk in chunks { chunk.deallocate() }
    }

    var slotsInUse: Int { chunks.count * Self.slotsPerChunk - free.count }

    /// A buffer, or nil when all are on their way.
    func take() -> Int32? {
        if free.isEmpty, !grow() { return nil }
        return free.popLast()
    }

    func release(_ slot: Int32) { free.append(slot) }

    func address(of slot: Int32) -> UnsafeMutableRawPointer {
        let index = Int(slot)
        return chunks[index / Self.slotsPerChunk] + index % Self.slotsPerChunk * Self.slotBytes
    }

    private func grow() -> Bool {
        let first = chunks.count * Self.slotsPerChunk
        guard first < Self.slotsMax else { return false }
        chunks.append(.allocate(byteCount: Self.slotsPerChunk * Self.slotBytes, alignment: 64))
        for slot in (first..<first + Self.slotsPerChunk).reversed() {
            free.append(Int32(truncatingIfNeeded: slot))
        }
        return true
    }
}
