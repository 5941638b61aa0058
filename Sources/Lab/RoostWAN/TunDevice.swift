import CLinux
import Glibc

/// Opens TUN devices in other network namespaces. A device lives as long as its file descriptor.
enum TunDevice {
    /// The non-blocking file descriptor of a new device `interface` in the namespace.
    static func open(_ interface: String, in namespace: String) throws -> Int32 {
        guard (1...15).contains(interface.utf8.count) else {
            throw WANError("'\(interface)' is no interface name: use 1 to 15 bytes")
        }
        return try DedicatedThread.wait {
            let file = Glibc.open(namespace, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else {
                throw WANError("cannot open the namespace \(namespace): \(String(cString: strerror(errno)))")
            }
            defer { close(file) }
            let entered = roost_setns(file, roost_clone_newnet)
            guard entered == 0 else {
                throw WANError("cannot enter the namespace \(namespace): \(String(cString: strerror(-entered)))")
            }
            let device = roost_open_tun(interface)
            guard device >= 0 else {
                throw WANError(
                    "cannot make \(interface) in \(namespace): \(String(cString: strerror(-device)))")
            }
            return device
        }
    }
}
