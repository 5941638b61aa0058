import Glibc
import RoostLinux
import RoostModel

extension UnderlayEndpoint {
    var family: Int32 {
        switch address {
        case .v4: AF_INET
        case .v6: AF_INET6
        }
    }

    /// Calls `body` with the address in the kernel's form.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch address {
        case .v4(let address):
            var form = sockaddr_in()
            form.sin_family = sa_family_t(AF_INET)
            form.sin_port = port.bigEndian
            form.sin_addr.s_addr = address.bits.bigEndian
            return withUnsafePointer(to: &form) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .v6(let address):
            return address.withSocketAddress(port: port, body)
        }
    }

    /// From the kernel's form; nil for another family.
    init?(storage: sockaddr_storage) {
        switch Int32(storage.ss_family) {
        case AF_INET:
            let form = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in.self) }
            self.init(
                address: .v4(IPv4Address(bits: UInt32(bigEndian: form.sin_addr.s_addr))),
                port: UInt16(bigEndian: form.sin_port))
        case AF_INET6:
            let form = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in6.self) }
            self.init(address: .v6(IPv6Address(form)), port: UInt16(bigEndian: form.sin6_port))
        default:
            return nil
        }
    }
}
