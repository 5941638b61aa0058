import Glibc
import NIOCore

/// The socket options that keep a session honest: a peer that is gone is noticed, small messages leave at once.
///
/// An accepted socket inherits them from its listener (Linux, tcp(7)), which spares a handful of system calls for
/// each connection.
enum SocketOptions {
    /// Linux's numbers (`linux/in.h`, `linux/tcp.h`, `asm-generic/socket.h`).
    private static let tcpSegmentMax = NIOBSDSocket.Option(rawValue: 2)
    private static let tcpKeepIdle = NIOBSDSocket.Option(rawValue: 4)
    private static let tcpKeepInterval = NIOBSDSocket.Option(rawValue: 5)
    private static let tcpKeepCount = NIOBSDSocket.Option(rawValue: 6)
    private static let tcpUserTimeout = NIOBSDSocket.Option(rawValue: 18)

    /// A silent peer is asked after this many seconds,
    private static let keepIdleSeconds: Int = 15
    /// then this often,
    private static let keepIntervalSeconds: Int = 5
    /// and this many times.
    private static let keepCount: Int = 3
    /// Unacknowledged data kills a connection after this long.
    private static let userTimeoutMilliseconds: Int = 30_000

    /// The payload of a packet, in both directions: each side tells it the other in its SYN (TCP_MAXSEG, tcp(7)). On
    /// some paths big packets vanish and nobody says so; what was learnt from small ones (that the connection stands,
    /// that the login works) is then wrong for every large result. Every path that may carry IPv6 takes packets of
    /// 1,280 bytes (RFC 8200, part 5); 60 of them are headers. It costs one packet in six more than 1,460 would.
    static let segmentBytesMax: Int = 1_220

    typealias Setting = (ChannelOptions.Types.SocketOption, Int)

    /// For a connection to a backend, and for a listener on behalf of its clients.
    static let peer: [Setting] = [
        (.init(level: .socket, name: .so_keepalive), 1),
        (.init(level: .tcp, name: .tcp_nodelay), 1),
        (.init(level: .tcp, name: tcpKeepIdle), keepIdleSeconds),
        (.init(level: .tcp, name: tcpKeepInterval), keepIntervalSeconds),
        (.init(level: .tcp, name: tcpKeepCount), keepCount),
        (.init(level: .tcp, name: tcpUserTimeout), userTimeoutMilliseconds),
        (.init(level: .tcp, name: tcpSegmentMax), segmentBytesMax),
    ]

    /// Closing sends a reset: the other side knows at once, and this one keeps nothing of the connection (TIME-WAIT).
    static func closeByReset(_ channel: any Channel) {
        guard let socket = channel as? any SocketOptionProvider else { return }
        // On the channel's loop it takes effect at once.
        _ = socket.unsafeSetSocketOption(
            level: .socket, name: .so_linger, value: linger(l_onoff: 1, l_linger: 0))
    }

    /// What a session may hold in memory for a slow reader, on each of its two sides: reading from the other side
    /// stops above `high` and goes on below `low`.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 128 << 10)
    static let receiveBuffer = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 64 << 10)
}
