import Glibc
public import RoostFailover
import RoostLinux
import RoostModel
import RoostRecords
import Synchronization

/// What a member must still know after a crash, in files beside its data: lost together or not at all.
///
/// It is kept in ``PledgeSlots``, so that a full volume does not keep a member from promising. Programs before that kept it
/// in a file of its own, `roost-member.json`, which needs new blocks for each write. That file says which of the two counts:
///
/// - it can be read: it counts. A program before the slots has written it, or a later one that was stopped in order
///   (``leave(_:)``);
/// - it holds the mark: the slots count. The mark is written over it in place, once the slots hold what it said. A program
///   that does not know the slots cannot read it then, and does not take part.
///
/// A machine's image may be exchanged for another version's and back: what the other has put into the record is still
/// there when it comes back.
public final class MemberFile: Sendable {
    private struct State {
        /// The last record that is surely on the disk. The other place is the one to write to, again and again until one
        /// attempt comes to its end: what it holds after a failure is in the kernel's memory and maybe nowhere else.
        var kept: PledgeSlots.Record?
        /// What was read or written last, with what this version does not know.
        var bytes: [UInt8]?
        var isPrepared = false
        var isMarked = false
    }

    public let path: String
    private let slots: PledgeSlots
    private let state = Mutex(State())

    /// Shorter than any record, and so within its first sector: it is there or it is not.
    private static let mark = Array("kept in roost-member.slots\n".utf8)

    /// - Parameter path: of the file that programs before the slots have written; the slots lie beside it.
    public init(_ path: String) {
        self.path = path
        let stem = path.hasSuffix(".json") ? String(path.dropLast(5)) : path
        slots = PledgeSlots(stem + ".slots")
    }

    /// What was read was written by a program before the slots, or by a later one at its end: for good, when it says so.
    var isOfEarlierVersion: Bool { state.withLock { !$0.isMarked && $0.bytes != nil } }

    /// Nil when there is none. Nothing may rest on it before ``settle(_:)``.
    ///
    /// - Throws: also when the files cannot be read as what they should be: a member that has forgotten what it promised
    ///   must not take part.
    public func read() throws(MemberFileError) -> DurableState? {
        do {
            return try state.withLock { state in
                let file = try DurableFile.read(path)
                let newest = try slots.newest()
                state = State(kept: newest)
                state.isMarked = file?.starts(with: Self.mark) ?? false
                if state.isMarked, newest == nil { throw SystemError("find a whole record in", slots.path, code: EIO) }
                // Without the file: the first program of all was stopped before it had made it.
                state.bytes = state.isMarked ? newest?.bytes : file ?? newest?.bytes
                return try state.bytes.map { try RecordCodec.read(DurableState.self, from: $0) }
            }
        } catch {
            throw MemberFileError(path: path, operation: "read", cause: Self.words(for: error))
        }
    }

    /// Sees that what ``read()`` returned is on the disk: a program that could not flush it may have died and left it in
    /// the kernel's memory, where it looks like any other.
    public func settle(_ read: DurableState) throws(MemberFileError) {
        let isThere = try changing { state in
            guard state.isMarked, let kept = state.kept else { return false }
            // The same bytes in the same places: whichever of them reach the disk, it holds this or what was there before.
            try slots.write(kept)
            try setMark()
            return true
        }
        if !isThere { try write(read) }
    }

    /// On disk for good when this returns, beside what this version does not know.
    public func write(_ record: DurableState) throws(MemberFileError) {
        try changing { state in
            let bytes = try state.bytes.map { try RecordCodec.write(record, over: $0) } ?? RecordCodec.write(record)
            if !state.isPrepared { try slots.prepare() }
            state.isPrepared = true
            let next = PledgeSlots.Record(
                slot: state.kept.map { ($0.slot + 1) % PledgeSlots.count } ?? 0,
                number: (state.kept?.number ?? 0) + 1, bytes: bytes)
            try slots.write(next)
            state.kept = next
            // Until here the file counts, if it can be read.
            if !state.isMarked { try setMark() }
            state.isMarked = true
            state.bytes = bytes
        }
    }

    /// Writes the file that every version reads, and lets it count: the member stops in order, and another version's
    /// program may come after this one.
    public func leave(_ record: DurableState) throws(MemberFileError) {
        try changing { state in
            let bytes = try state.bytes.map { try RecordCodec.write(record, over: $0) } ?? RecordCodec.write(record)
            state.isMarked = false
            try DurableFile.write(bytes, to: path)
            state.bytes = bytes
        }
    }

    /// In place: a full volume has no block for another file.
    private func setMark() throws(SystemError) {
        let file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else {
            guard errno == ENOENT else { throw SystemError("open", path) }
            return try DurableFile.write(Self.mark, to: path)
        }
        defer { close(file) }
        guard pwrite(file, Self.mark, Self.mark.count, 0) == Self.mark.count else { throw SystemError("write", path) }
        guard fsync(file) == 0 else { throw SystemError("flush", path) }
    }

    private func changing<Value>(_ body: (inout State) throws -> sending Value) throws(MemberFileError) -> Value {
        do { return try state.withLock { try body(&$0) } } catch {
            throw MemberFileError(path: path, operation: "write", cause: Self.words(for: error))
        }
    }

    private static func words(for error: any Error) -> String {
        error is DecodingError ? JSONFault(error).text(of: "it") : "\(error)"
    }
}

public struct MemberFileError: Error, CustomStringConvertible {
    public let path: String
    public let operation: String
    public let cause: String

    public var description: String { "could not \(operation) the member's state \(path): \(cause)" }
}
