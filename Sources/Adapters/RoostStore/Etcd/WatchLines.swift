import Foundation
import NIOCore

/// Cuts a stream of bytes into lines. Pure.
struct WatchLines {
    private var buffer = ByteBuffer()
    /// How much of the buffer is known to have no end of line.
    private var scanned = 0

    /// One fragment has at most about etcd's `--max-request-bytes` (1.5 MiB), or one event, in base64.
    static let lineBytesMax = 16 << 20

    mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// - Returns: the next whole line, nil while there is none.
    mutating func next() throws(EtcdFailure) -> ByteBuffer? {
        while true {
            let view = buffer.readableBytesView.dropFirst(scanned)
            guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else {
                scanned = buffer.readableBytes
                guard scanned <= Self.lineBytesMax else {
                    throw .unclear("a line of more than \(Self.lineBytesMax) bytes")
                }
                return nil
            }
            let length = end - buffer.readerIndex
            scanned = 0
            let line = buffer.readSlice(length: length)
            buffer.moveReaderIndex(forwardBy: 1)
            if buffer.readableBytes == 0 { buffer = ByteBuffer() }
            if let line, length > 0 { return line }
        }
    }
}

/// Puts the pieces of etcd's watch answers together to whole revisions. Pure.
///
/// etcd cuts a large answer into fragments between any two events, also within a revision. A revision is whole
/// when an event of a later one follows, or the answer's last fragment is there.
struct WatchAssembly {
    private var revision = Revision.absent
    private var changes: [WatchEvent.Change] = []

    enum Outcome {
        case created
        case events([(revision: Revision, changes: [WatchEvent.Change])])
        /// What the watch wants next is gone.
        case compacted
    }

    mutating func receive(_ answer: EtcdWatchAnswer) throws(EtcdFailure) -> Outcome {
        if let compacted = answer.compact_revision, compacted.number > 0 { return .compacted }
        if answer.canceled == true { throw .unclear("etcd ended the watch: \(answer.cancel_reason ?? "no reason")") }
        if answer.created == true { return .created }
        var whole: [(revision: Revision, changes: [WatchEvent.Change])] = []
        for event in answer.events ?? [] {
            let entry = event.kv.entry
            guard entry.modified >= revision, entry.modified > .absent else {
                throw .unclear("revision \(entry.modified) came after \(revision)")
            }
            if entry.modified > revision {
                if !changes.isEmpty { whole.append((revision, changes)) }
                (revision, changes) = (entry.modified, [])
            }
            changes.append(event.type == "DELETE" ? .delete(key: entry.key) : .put(entry))
        }
        if answer.fragment != true, !changes.isEmpty {
            whole.append((revision, changes))
            changes = []
        }
        return .events(whole)
    }
}
