import CLinux
import Glibc
import RoostLinux

/// Opens TUN devices in other network namespaces. A device lives as long as its file descriptor.
enum TunDevice {
    /// The non-blocking file descriptor of a new device `interface` in the namespace.
    static func open(_ interface: String, in namespace: String) throws -> Int32 {
        guard (1...15).contains(interface.utf8.count) else {
            throw WANError("'\(interface)' is no interface name: use 1 to 15 bytes")
        }
        return try OwnThread.wait("tun", failing: { WANError("\($0)") }) { () throws(WANError) in
            do throws(SystemError) { try NetworkNamespace.enter(namespace) } catch { throw WANError("\(error)") }
            let device = roost_open_tun(interface)
            guard device >= 0 else {
                throw WANError(
                    "cannot make \(interface) in \(namespace): \(String(cString: strerror(-device)))")
            }
            return device
        }
    }
}
