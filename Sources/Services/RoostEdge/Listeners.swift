import Logging
import NIOCore
import NIOPosix
import RoostRouting

/// The listening sockets: one for each port and event loop where the edge opens them itself; else those that it was
/// given, spread over the loops. None is left out: the kernel brings connections to each.
///
/// Called by one task at a time.
struct Listeners {
    private struct Place: Hashable {
        var access: Access
        /// Among those of its port.
        var index: Int
    }

    private struct Open {
        let socket: ListeningSocket
        let channel: any Channel
    }

    private let configuration: EdgeConfiguration
    private let loops: [LoopHandle]
    private let logger: Logger
    private let sockets: SocketSource
    private var generation = 0
    private var open: [Place: Open] = [:]
    private var failed: [Access: String] = [:]

    init(
        configuration: EdgeConfiguration, loops: [LoopHandle], logger: Logger, sockets: SocketSource
    ) {
        self.configuration = configuration
        self.loops = loops
        self.logger = logger
        self.sockets = sockets
    }

    var count: Int { open.count }

    /// Opens what is missing, or closes everything.
    /// - Parameter generation: another one than before: the sockets are others.
    /// - Returns: how many there should be. Fewer are open when a port could not be bound; try again later.
    mutating func follow(isAccepting: Bool, generation: Int) async -> Int {
        var wanted: [Place] = []
        if isAccepting {
            for access in Access.allCases {
                let count = sockets.count(configuration.port(of: access), loops.count)
                wanted += (0..<count).map { Place(access: access, index: $0) }
            }
        }
        for (place, listener) in open
        where !isAccepting || generation != self.generation || !listener.channel.isActive {
            open[place] = nil
            try? await listener.channel.close().get()
        }
        self.generation = generation
        for place in wanted where open[place] == nil {
            do {
                open[place] = try await listen(at: place)
                failed[place.access] = nil
            } catch {
                report(error, at: place)
            }
        }
        return wanted.count
    }

    private mutating func report(_ error: any Error, at place: Place) {
        let text = "\(error)"
        guard failed[place.access] != text else { return }
        failed[place.access] = text
        logger.error(
            "cannot listen, trying again every second",
            metadata: ["port": "\(configuration.port(of: place.access))", "error": "\(text)"])
    }

    private func listen(at place: Place) async throws -> Open {
        let handle = loops[place.index % loops.count]
        let bootstrap = ServerBootstrap(group: handle.eventLoop)
            .serverChannelOption(.maxMessagesPerRead, value: EdgeConfiguration.acceptBurst)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause { handle.present.isShort(of: $0) })
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: SocketOptions.waterMark)
            .childChannelOption(.recvAllocator, value: SocketOptions.receiveBuffer)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try handle.present.accept(channel, for: place.access)
                }
            }
        let socket = try sockets.socket(configuration.port(of: place.access), place.index)
        let channel = try await bootstrap.withBoundSocket(socket.copy()).get()
        try socket.listen()
        return Open(socket: socket, channel: channel)
    }
}
