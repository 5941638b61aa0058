import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire

/// The orders as they come, a line each.
final class OrdersInput {
    enum Reading {
        case none
        /// The last of those that have come.
        case orders(RelayOrders)
        case ended
    }

    let link: Link
    private let output: Int32
    private var buffer: [UInt8] = []
    private static let readBytes = 64 << 10

    init(_ input: Int32, _ output: Int32) {
        link = Link(input, isOwn: false)
        self.output = output
        // Nobody who does not read is waited for.
        _ = fcntl(output, F_SETFL, fcntl(output, F_GETFL) | O_NONBLOCK)
    }

    /// - Throws: for a line that is no orders, or longer than any: who writes them is not who it should be.
    func read() throws(SystemError) -> Reading {
        guard link.isReadable else { return .none }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.readBytes) { part, filled in
            repeat { count = Glibc.read(link.file, part.baseAddress, part.count) } while count < 0 && errno == EINTR
            filled = max(count, 0)
        }
        guard count > 0 else { return count < 0 && errno == EAGAIN ? .none : .ended }
        buffer += bytes
        guard let end = buffer.lastIndex(of: UInt8(ascii: "\n")) else {
            guard buffer.count <= RelayOrders.bytesMax else {
                throw SystemError("understand", "the relay's orders", code: EMSGSIZE)
            }
            return .none
        }
        let line = buffer[..<end].split(separator: UInt8(ascii: "\n")).last.map { Array($0) } ?? []
        buffer.removeFirst(end + 1)
        guard line.count <= RelayOrders.bytesMax, let orders = try? JSONFile.decode(RelayOrders.self, from: line) else {
            throw SystemError("understand", "the relay's orders", code: EBADMSG)
        }
        return .orders(orders)
    }

    func acknowledge(_ number: UInt64) {
        let line = Array("\(number)\n".utf8)
        _ = line.withUnsafeBytes { write(output, $0.baseAddress, $0.count) }
    }
}
