import Glibc
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting

/// A socket in a test's own hands: sends what a well-behaved client would not.
final class RawClient {
    private var file: Int32
    private(set) var received: [UInt8] = []
    private(set) var isEnded = false

    /// - Parameter source: the address it comes from; nil: the one that the kernel takes.
    init(_ address: IPv4Address, _ port: Int, receiveBuffer: Int32? = nil, from source: IPv4Address? = nil) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard file >= 0 else { throw SystemError("open", "socket") }
        if var size = receiveBuffer {
            setsockopt(file, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        if let source, Self.withAddress(source, 0, { bind(file, $0, $1) }) != 0 {
            throw SystemError("bind", "\(source)")
        }
        guard Self.withAddress(address, port, { connect(file, $0, $1) }) == 0 else {
            // The socket is closed with the object.
            throw SystemError("connect to", "\(address):\(port)")
        }
    }

    private static func withAddress(
        _ address: IPv4Address, _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var socketAddress = sockaddr_in()
        socketAddress.sin_family = sa_family_t(AF_INET)
        socketAddress.sin_port = in_port_t(port).bigEndian
        socketAddress.sin_addr.s_addr = address.bits.bigEndian
        return withUnsafePointer(to: &socketAddress) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    deinit { close() }

    func close() {
        if file >= 0 { Glibc.close(file) }
        file = -1
    }

    func send(_ bytes: [UInt8]) throws {
        guard Glibc.send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw SystemError("send", "test connection")
        }
    }

    /// As much as the way to the other side takes without anybody reading there.
    func sendWithoutWaiting(_ bytes: [UInt8]) -> Int {
        max(Glibc.send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)), 0)
    }

    func endSending() { shutdown(file, Int32(SHUT_WR)) }

    /// Takes what has arrived. Never waits.
    func take() {
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while !isEnded {
            let count = recv(file, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                received += chunk[..<count]
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                isEnded = true
            } else {
                return
            }
        }
    }

    /// What has been received once it fulfils the condition; an error if it does not in time.
    @discardableResult
    func receive(within time: Duration = .seconds(10), until condition: ([UInt8]) -> Bool) async throws -> [UInt8] {
        let result = try await poll(for: time, every: .milliseconds(2)) { () -> [UInt8]? in
            take()
            return condition(received) ? received : nil
        }
        guard let result else {
            let text = String(decoding: received.suffix(300), as: UTF8.self)
            throw EdgeTestFailure("only \(received.count) bytes, ended: \(isEnded): \(text)")
        }
        return result
    }

    /// Everything up to the end of the connection.
    func receiveAll(within time: Duration = .seconds(10)) async throws -> [UInt8] {
        let ended = try await poll(for: time, every: .milliseconds(2)) { () -> Bool? in
            take()
            return isEnded ? true : nil
        }
        guard ended == true else { throw EdgeTestFailure("not ended after \(received.count) bytes") }
        return received
    }

    func forget() { received = [] }

    func forget(first count: Int) { received.removeFirst(count) }
}

// MARK: - Messages

func bigEndian(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }

func packet(_ code: UInt32, _ body: [UInt8] = []) -> [UInt8] {
    bigEndian(UInt32(8 + body.count)) + bigEndian(code) + body
}

/// - Parameter more: names and values, each ended by a zero byte.
func startup(user: String = "open", database: String = "postgres", _ more: String = "") -> [UInt8] {
    packet(3 << 16, Array("user\0\(user)\0database\0\(database)\0\(more)\0".utf8))
}

let tlsRequest = packet(80_877_103)
let gssRequest = packet(80_877_104)

func message(_ type: Character, _ body: [UInt8] = []) -> [UInt8] {
    Array(type.utf8) + bigEndian(UInt32(body.count + 4)) + body
}

func query(_ text: String) -> [UInt8] { message("Q", Array(text.utf8) + [0]) }

/// The types of the whole messages in a stream, for example "RSSKZ", and their bodies.
func messages(in stream: some Collection<UInt8>) -> [(type: Character, body: [UInt8])] {
    let stream = Array(stream)
    var found: [(Character, [UInt8])] = []
    var place = 0
    while stream.count - place >= 5 {
        let length = stream[(place + 1)..<(place + 5)].reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, stream.count - place > length else { break }
        found.append((Character(UnicodeScalar(stream[place])), Array(stream[(place + 5)..<(place + 1 + length)])))
        place += 1 + length
    }
    return found
}

func isReady(_ stream: [UInt8]) -> Bool { messages(in: stream).last?.type == "Z" }

/// The SQLSTATE and message of the first error in a stream.
func error(in stream: [UInt8]) -> (code: String, text: String)? {
    guard let body = messages(in: stream).first(where: { $0.type == "E" })?.body else { return nil }
    let fields = body.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    let field = { (type: Character) in fields.first { $0.first == type }.map { String($0.dropFirst()) } ?? "" }
    return (field("C"), field("M"))
}
