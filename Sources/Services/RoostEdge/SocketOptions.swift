import NIOCore

/// The socket options that keep a session honest: a peer that is gone is noticed, small messages leave at once.
///
/// An accepted socket inherits them from its listener (Linux, tcp(7)), which spares a handful of system calls for
/// each connection.
enum SocketOptions {
    /// Linux's numbers (`linux/in.h`, `linux/tcp.h`, `asm-generic/socket.h`).
    private static let ipFreebind = NIOBSDSocket.Option(rawValue: 15)
    private static let socketReusePort = NIOBSDSocket.Option(rawValue: 15)
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

    typealias Setting = (ChannelOptions.Types.SocketOption, Int)

    /// For a connection to a backend, and for a listener on behalf of its clients.
    static let peer: [Setting] = [
        (.init(level: .socket, name: .so_keepalive), 1),
        (.init(level: .tcp, name: .tcp_nodelay), 1),
        (.init(level: .tcp, name: tcpKeepIdle), keepIdleSeconds),
        (.init(level: .tcp, name: tcpKeepInterval), keepIntervalSeconds),
        (.init(level: .tcp, name: tcpKeepCount), keepCount),
        (.init(level: .tcp, name: tcpUserTimeout), userTimeoutMilliseconds),
    ]

    /// Every event loop listens for itself, and on an address that may not be on an interface (yet).
    static let listener: [Setting] =
        peer + [
            (.init(level: .socket, name: .so_reuseaddr), 1),
            (.init(level: .socket, name: socketReusePort), 1),
            (.init(level: .ip, name: ipFreebind), 1),
        ]

    /// What a session may hold in memory for a slow reader, on each of its two sides: reading from the other side
    /// stops above `high` and goes on below `low`.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 128 << 10)
    static let receiveBuffer = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 64 << 10)
}
