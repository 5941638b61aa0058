import Glibc
import NIOCore
import RoostModel
import RoostRouting

extension SocketAddress {
    /// NIO has a type of its own by this name.
    var v4: RoostModel.IPv4Address? {
        switch self {
        case .v4(let address): RoostModel.IPv4Address(bits: UInt32(bigEndian: address.address.sin_addr.s_addr))
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
