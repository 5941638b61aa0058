import Glibc
import RoostLinux
import RoostModel

/// A descriptor that is never waited for, with what is still to be written to it.
final class Link {
    enum Reading {
        case bytes([UInt8])
        case nothing
        /// Its end, or a failure.
        case ended
    }

    /// More is not read for it from the other side while so much waits.
    static let pendingMax = 256 << 10
    private static let readBytes = 64 << 10

    let file: Int32
    private let isOwn: Bool
    private var pending: [UInt8] = []
    private var sent = 0
    private(set) var isBroken = false
    /// The other side has said its last.
    private(set) var hasEnded = false
    /// Nothing more is written to it after what waits.
    private(set) var isEnding = false
    private(set) var isClosed = false
    /// What poll(2) is asked for, and what it said last.
    var isReading = true
    var isConnecting = false
    var ready: Int32 = 0 {
        didSet { if ready & (POLLHUP | POLLERR) != 0 { hasHungUp = true } }
    }
    /// It has been said once, and stays so.
    private var hasHungUp = false

    /// - Parameter isOwn: it is closed with this.
    init(_ file: Int32, isOwn: Bool = true) {
        self.file = file
        self.isOwn = isOwn
        let flags = fcntl(file, F_GETFL)
        if flags >= 0 { _ = fcntl(file, F_SETFL, flags | O_NONBLOCK) }
    }

    deinit { close() }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        if isOwn { Glibc.close(file) }
    }

    var pendingBytes: Int { pending.count - sent }
    var takesMore: Bool { pendingBytes < Self.pendingMax }
    var isReadable: Bool { !isClosed && ready & (POLLIN | POLLHUP | POLLERR) != 0 }
    var isWritable: Bool { !isClosed && ready & (POLLOUT | POLLHUP | POLLERR) != 0 }

    /// Nothing is to be done with it now, and all that could be said was.
    var isHeard: Bool { hasHungUp && wanted == 0 }

    var wanted: Int32 { (isReading ? POLLIN : 0) | (pendingBytes > 0 || isConnecting ? POLLOUT : 0) }

    func put(_ bytes: some Collection<UInt8>) {
        guard !isBroken, !isEnding, !isClosed, !bytes.isEmpty else { return }
        pending += bytes
        flush()
    }

    /// What waits is written, and then it is closed.
    func end() {
        isEnding = true
        isReading = false
        flush()
    }

    func flush() {
        while !isClosed, !isBroken, pendingBytes > 0 {
            let count = pending.withUnsafeBytes { bytes in
                send(file, bytes.baseAddress?.advanced(by: sent), pendingBytes, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                isBroken = true
            }
        }
        if sent == pending.count {
            pending = []
            sent = 0
        } else if sent > Self.pendingMax {
            pending.removeFirst(sent)
            sent = 0
        }
        if isEnding, pendingBytes == 0 || isBroken { close() }
    }

    func read() -> Reading {
        guard !isClosed else { return .ended }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.readBytes) { buffer, filled in
            repeat { count = recv(file, buffer.baseAddress, buffer.count, 0) } while count < 0 && errno == EINTR
            filled = max(count, 0)
        }
        if count > 0 { return .bytes(bytes) }
        if count < 0, errno == EAGAIN { return .nothing }
        hasEnded = true
        return .ended
    }
}

/// One of those that a relay serves. None ever waits.
protocol Party: AnyObject {
    /// What it is waited for.
    var links: [Link] { get }
    /// When it wants to act though nothing happened; nil: never.
    var wakeAt: Moment? { get }
    /// It may be forgotten.
    var isOver: Bool { get }
    func act(_ now: Moment)
}

/// Two sides of a stream that is on: what one says goes to the other, and when one has ended the other is ended.
enum Passage {
    /// - Parameter look: sees what passes.
    /// - Returns: false: this side has ended.
    static func pass(from link: Link, to other: Link, _ look: (ArraySlice<UInt8>) -> Void = { _ in }) -> Bool {
        if link.isReadable, other.takesMore {
            switch link.read() {
            case .bytes(let bytes):
                look(bytes[...])
                other.put(bytes)
            case .nothing: break
            case .ended: return false
            }
        }
        other.flush()
        link.isReading = other.takesMore
        return !link.isBroken && !other.isBroken
    }
}
