internal import RoostFailover
import RoostModel

/// A member's write-ahead log as it truly is: which leader's bytes, up to where. A leader of an epoch only appends,
/// and only what is flushed counts, so a byte is known by its epoch and place.
struct SimulatedLog: Equatable, Sendable, CustomStringConvertible {
    struct Piece: Equatable, Sendable {
        var epoch: UInt64
        var end: UInt64
    }

    private(set) var pieces: [Piece] = []

    var end: UInt64 { pieces.last?.end ?? 0 }
    var lastEpoch: UInt64 { pieces.last?.epoch ?? 0 }

    /// What is written by one who was promoted by hand, and not by a leader, has an epoch from here on.
    static let foreignEpochs: UInt64 = 1 << 40

    /// The part that leaders wrote.
    var honest: SimulatedLog {
        var log = SimulatedLog()
        log.pieces = Array(pieces.prefix { $0.epoch < Self.foreignEpochs })
        return log
    }

    /// Where each timeline but the first begins.
    var forks: [TimelineFork] {
        zip(pieces, 2...).dropLast().map { TimelineFork(timeline: $0.1, begin: LSN($0.0.end)) }
    }

    /// pg_rewind goes by the numbers of timelines and where they begin: whether it takes one that differs for the same.
    func isMistaken(for other: SimulatedLog) -> Bool {
        if timeline == other.timeline { return lastEpoch != other.lastEpoch }
        var begin: UInt64 = 0
        var otherBegin: UInt64 = 0
        for (own, its) in zip(pieces, other.pieces) {
            guard begin == otherBegin else { return false }
            if own.epoch != its.epoch { return true }
            (begin, otherBegin) = (own.end, its.end)
        }
        return false
    }

    /// Postgres counts its timelines by promotions, and every promotion begins a piece.
    var timeline: UInt32 { UInt32(max(pieces.count, 1)) }

    /// Where a timeline begins; nil when this log has none of that number.
    func begin(of timeline: UInt32) -> UInt64? {
        guard timeline >= 1, timeline <= pieces.count else { return nil }
        return timeline > 1 ? pieces[Int(timeline) - 2].end : 0
    }

    mutating func append(_ bytes: UInt64, epoch: UInt64) {
        if let last = pieces.last, last.epoch == epoch {
            pieces[pieces.count - 1].end += bytes
        } else {
            pieces.append(Piece(epoch: epoch, end: end + bytes))
        }
    }

    /// The last byte before `end` of that epoch is here.
    func contains(epoch: UInt64, end: UInt64) -> Bool {
        for piece in pieces where piece.epoch == epoch { return piece.end >= end }
        return false
    }

    /// How far the two agree.
    func agreement(with other: SimulatedLog) -> UInt64 {
        var agreed: UInt64 = 0
        for (own, its) in zip(pieces, other.pieces) {
            guard own.epoch == its.epoch else { break }
            agreed = min(own.end, its.end)
            if own.end != its.end { break }
        }
        return agreed
    }

    func isPrefix(of other: SimulatedLog) -> Bool { agreement(with: other) == end }

    mutating func truncate(to end: UInt64) {
        while let last = pieces.last, last.end > end {
            let begin = pieces.count > 1 ? pieces[pieces.count - 2].end : 0
            if begin >= end {
                pieces.removeLast()
            } else {
                pieces[pieces.count - 1].end = end
            }
        }
    }

    var description: String { pieces.map { "\($0.epoch)@\($0.end)" }.joined(separator: " ") }
}
