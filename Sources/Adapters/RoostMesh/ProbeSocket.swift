import Glibc
import RoostLinux
import RoostModel

/// A UDP socket on the outside address. It stays in the network namespace it was opened in.
struct ProbeSocket: ~Copyable {
    /// Packets wait for a whole round (``Prober``): at this size some thousand, of which a stranger's flood may be most.
    private static let receiveBufferBytes: Int32 = 2 << 20
    /// A packet has not waited longer; if it seems so, somebody has set the clock.
    private static let waitedMax = Duration.seconds(10)

    private let descriptor: Int32

    /// Enters `namespace` with the calling thread and leaves it there: call this on a thread of its own.
    init(on endpoint: UnderlayEndpoint, namespace: String?) throws(SystemError) {
        if let namespace { try NetworkNamespace.enter(namespace) }
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let opened = socket(endpoint.family, type, 0)
        guard opened >= 0 else { throw SystemError("open socket", "\(endpoint)") }
        // Large ones go in pieces where a link asks for it, as WireGuard's packets do.
        let (level, option) =
            endpoint.family == AF_INET
            ? (Int32(IPPROTO_IP), IP_MTU_DISCOVER) : (Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER)
        Self.set(opened, level, option, 0)
        Self.set(opened, SOL_SOCKET, SO_TIMESTAMPNS, 1)
        Self.set(opened, SOL_SOCKET, SO_RCVBUFFORCE, Self.receiveBufferBytes)
        guard endpoint.withSocketAddress({ bind(opened, $0, $1) }) == 0 else {
            let failure = SystemError("bind", "\(endpoint)")
            close(opened)
            throw failure
        }
        descriptor = opened
    }

    deinit { close(descriptor) }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// A probe that cannot be sent is a probe that is lost: what the kernel says is of no use to anybody.
    func send(_ outgoing: ProbeTable.Outgoing) {
        let bytes = outgoing.bytes
        _ = outgoing.destination.withSocketAddress { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT), address, length)
        }
    }

    struct Packet {
        var bytes: [UInt8]
        var source: UnderlayEndpoint?
        /// Since the kernel had it, by its stamp; zero when nobody can say.
        var waited: Duration
    }

    /// The next packet that waits; nil when there is none.
    func receive() -> Packet? {
        var source = sockaddr_storage()
        // A byte more than the largest has, so that a longer one is not taken for one.
        return withUnsafeTemporaryAllocation(byteCount: ProbeSeal.datagramBytesMax + 1, alignment: 8) { buffer in
            withUnsafeTemporaryAllocation(byteCount: Self.controlBytes, alignment: 8) { control in
                var piece = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
                let received = withUnsafeMutablePointer(to: &source) { source in
                    withUnsafeMutablePointer(to: &piece) { piece in
                        var message = msghdr()
                        message.msg_name = UnsafeMutableRawPointer(source)
                        message.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
                        message.msg_iov = piece
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        let count = recvmsg(descriptor, &message, Int32(MSG_DONTWAIT))
                        return (count: count, controlBytes: Int(message.msg_controllen))
                    }
                }
                guard received.count >= 0 else { return nil }
                return Packet(
                    bytes: Array(buffer[..<received.count]), source: UnderlayEndpoint(storage: source),
                    waited: Self.waited(UnsafeRawBufferPointer(control), count: received.controlBytes))
            }
        }
    }

    /// Room for a header of cmsg(3) and a `timespec`: 16 bytes each.
    private static let controlBytes = 64

    /// From the stamp that SO_TIMESTAMPNS brings (socket(7)).
    private static func waited(_ control: UnsafeRawBufferPointer, count: Int) -> Duration {
        let headerBytes = MemoryLayout<cmsghdr>.size
        guard count >= headerBytes + MemoryLayout<timespec>.size else { return .zero }
        let header = control.loadUnaligned(as: cmsghdr.self)
        guard header.cmsg_level == SOL_SOCKET, header.cmsg_type == SO_TIMESTAMPNS else { return .zero }
        let stamp = control.loadUnaligned(fromByteOffset: headerBytes, as: timespec.self)
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let waited = Duration.seconds(now.tv_sec - stamp.tv_sec) + .nanoseconds(now.tv_nsec - stamp.tv_nsec)
        return waited >= .zero && waited <= waitedMax ? waited : .zero
    }
}
