import FoundationEssentials
import Glibc
import RoostLinux

/// Speaks to a running `roost-wan` over its control socket.
public struct WANClient: Sendable {
    private let path: String

    private static let replyTimeMax = Duration.seconds(10)
    private static let replyBytesMax = 16 << 20

    public init(socket path: String) { self.path = path }

    /// One request on a connection of its own.
    /// - Throws: ``WANError`` when there is no answer, or when the answer is a refusal.
    @discardableResult
    public func send(_ request: WANRequest) async throws -> WANReply {
        let path = path
        let reply = try await BlockingCall.run { () throws(any Error) in try Self.exchange(request, over: path) }
        guard reply.ok else { throw WANError("roost-wan: \(reply.error ?? "refused without a reason")") }
        return reply
    }

    private static func exchange(_ request: WANRequest, over path: String) throws -> WANReply {
        let file = try UnixSocket.connect(path, within: replyTimeMax)
        defer { close(file) }
        var bytes = [UInt8](try JSONEncoder().encode(request))
        bytes.append(UInt8(ascii: "\n"))
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(file, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw WANError("roost-wan took no request: \(String(cString: strerror(errno)))") }
            sent += count
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while answer.last != UInt8(ascii: "\n") {
            let count = read(file, &chunk, chunk.count)
            guard count > 0 else {
                throw WANError("roost-wan gave no answer: \(count == 0 ? "closed" : String(cString: strerror(errno)))")
            }
            answer += chunk[..<count]
            guard answer.count <= replyBytesMax else { throw WANError("roost-wan's answer is too long") }
        }
        return try JSONDecoder().decode(WANReply.self, from: Data(answer))
    }
}
