import Glibc
import NIOCore
import RoostModel
import RoostRouting

extension SocketAddress {
    /// NIO has a type of its own by this name.
    var v4: RoostModel.IPv4Address? {
        switch self {
        case .v4(let address):
            // ip(7): family, port, and then the address, all in network order.
            withUnsafeBytes(of: address.address) { bytes in
                RoostModel.IPv4Address(bits: UInt32(bigEndian: bytes.load(fromByteOffset: 4, as: UInt32.self)))
            }
        case .v6, .unixDomainSocket: nil
        }
    }
}

extension Backend {
    var socketAddress: SocketAddress {
        get throws {
            var bytes = ByteBuffer()
            bytes.writeInteger(address.high)
            bytes.writeInteger(address.low)
            return try SocketAddress(packedIPAddress: bytes, port: Int(port))
        }
    }
}
