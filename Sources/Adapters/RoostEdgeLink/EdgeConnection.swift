import Glibc
import RoostEdgeWire
public import RoostLinux
import Synchronization

/// One end of the link between roostd and an edge. Sends from any thread; one thread receives.
public final class EdgeConnection: Sendable {
    /// For the other side to read what fills the socket.
    private static let sendTime = Duration.seconds(5)
    /// Files that have come and that no message has claimed yet.
    private static let filesMax = 2 * PassingSocket.filesMax

    private struct State {
        var reader = FrameReader()
        /// They arrive with the first byte of their message, or before it is whole, in its order.
        var files: [Int32] = []
    }

    private let socket: PassingSocket
    private let state = Mutex(State())
    private let sending = Mutex(())
    /// Who is at the other end.
    public let peer: PassingSocket.Peer

    /// - Parameter descriptor: a connected stream; becomes this object's own.
    public init(descriptor: Int32) throws(SystemError) {
        socket = PassingSocket(descriptor: descriptor)
        socket.setSendTime(Self.sendTime)
        peer = try socket.peer()
    }

    deinit { for file in state.withLock({ $0.files }) { close(file) } }

    /// For poll(2).
    public var descriptor: Int32 { socket.descriptor }

    /// The other side sees the end of the connection.
    public func end() { shutdown(socket.descriptor, Int32(SHUT_RDWR)) }

    /// After an error the connection is of no use any more.
    /// - Parameters:
    ///   - files: those that the message says come along. They stay the caller's own.
    ///   - waits: false: a full socket is an error.
    public func send(_ message: EdgeMessage, files: [Int32] = [], waits: Bool = true) throws {
        guard let bytes = try message.frame().bytes else { throw MessageTooLong() }
        try sending.withLock { _ in try socket.send(bytes, files: files, waits: waits) }
    }

    /// A message that does not fit into a frame: it was not sent, and the connection is as good as before.
    public struct MessageTooLong: Error, CustomStringConvertible {
        public var description: String { "a message of more than \(EdgeFrame.bodyBytesMax) bytes" }
    }

    /// What the other side said in a way that cannot be understood.
    public struct Malformed: Error, CustomStringConvertible {
        public let what: String

        public init(what: String) { self.what = what }

        public var description: String { "the other side says what makes no sense: \(what)" }
    }

    /// They were not sent. What the kernel leaves out because whoever receives has too many open (unix(7)) is an error of
    /// the reading, EMFILE.
    public struct FilesMissing: Error, CustomStringConvertible {
        public init() {}

        public var description: String { "the files of a message are missing" }
    }

    /// A message with the files that came along; they are the receiver's to close.
    public struct Received: Sendable {
        public var message: EdgeMessage
        public var files: [Int32]
    }

    /// What has come. Never waits.
    /// - Returns: nil when the other side is gone.
    public func receive() throws -> [Received]? {
        switch try socket.receive() {
        case .nothing: return []
        case .end: return nil
        case .bytes(let bytes, let files):
            return try state.withLock { state in
                var received: [Received] = []
                do {
                    state.files += files
                    state.reader.append(bytes)
                    try Self.take(&state, into: &received)
                    return received
                } catch {
                    for file in received.flatMap(\.files) { close(file) }
                    throw error
                }
            }
        }
    }

    private static func take(_ state: inout State, into received: inout [Received]) throws {
        while let frame = try state.reader.next() {
            guard let message = try message(frame) else { continue }
            guard state.files.count >= message.fileCount else { throw FilesMissing() }
            received.append(Received(message: message, files: Array(state.files.prefix(message.fileCount))))
            state.files.removeFirst(message.fileCount)
        }
        guard state.files.count <= filesMax else { throw Malformed(what: "too many files") }
    }

    private static func message(_ frame: EdgeFrame) throws -> EdgeMessage? {
        do { return try EdgeMessage(frame) } catch { throw Malformed(what: "kind \(frame.kind): \(error)") }
    }
}
