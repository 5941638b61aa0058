import Glibc
import RoostLinux
import RoostModel

/// A UDP socket on the outside address. It stays in the network namespace it was opened in.
struct ProbeSocket: ~Copyable {
    private let descriptor: Int32

    /// Enters `namespace` with the calling thread and leaves it there: call this on a thread of its own.
    init(on endpoint: UnderlayEndpoint, namespace: String?) throws(SystemError) {
        if let namespace { try NetworkNamespace.enter(namespace) }
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let opened = socket(endpoint.family, type, 0)
        guard opened >= 0 else { throw SystemError("open socket", "\(endpoint)") }
        // Large ones go in pieces where a link asks for it, as WireGuard's packets do.
        var off: Int32 = 0
        let (level, option) =
            endpoint.family == AF_INET
            ? (Int32(IPPROTO_IP), IP_MTU_DISCOVER) : (Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER)
        _ = setsockopt(opened, level, option, &off, socklen_t(MemoryLayout<Int32>.size))
        guard endpoint.withSocketAddress({ bind(opened, $0, $1) }) == 0 else {
            let failure = SystemError("bind", "\(endpoint)")
            close(opened)
            throw failure
        }
        descriptor = opened
    }

    deinit { close(descriptor) }

    /// A probe that cannot be sent is a probe that is lost: what the kernel says is of no use to anybody.
    func send(_ outgoing: ProbeTable.Outgoing) {
        let bytes = outgoing.bytes
        _ = outgoing.destination.withSocketAddress { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT), address, length)
        }
    }

    /// The next packet that waits; nil when there is none.
    func receive() -> (bytes: [UInt8], source: UnderlayEndpoint?)? {
        var source = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // A byte more than the largest has, so that a longer one is not taken for one.
        return withUnsafeTemporaryAllocation(byteCount: ProbeSeal.datagramBytesMax + 1, alignment: 8) { buffer in
            let count = withUnsafeMutablePointer(to: &source) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(descriptor, buffer.baseAddress, buffer.count, 0, $0, &length)
                }
            }
            guard count >= 0 else { return nil }
            return (Array(buffer[..<count]), UnderlayEndpoint(storage: source))
        }
    }

    /// Sleeps until a packet comes, `wake` becomes readable or the time is over.
    /// - Returns: true when woken.
    func wait(for time: Duration, wake: Int32) -> Bool {
        var entries = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        // Rounded up: waking early would only mean to sleep again.
        _ = poll(&entries, 2, Int32(clamping: max(time.milliseconds + 1, 0)))
        return entries[1].revents != 0
    }
}
