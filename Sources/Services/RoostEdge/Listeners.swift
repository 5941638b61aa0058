import Logging
import NIOCore
import NIOPosix
import RoostBalancing
import RoostModel

/// The listening sockets: one for each address, port and event loop, as the route table and the operator want them.
///
/// Called by one task at a time.
struct Listeners {
    private struct Place: Hashable {
        var address: IPv4Address
        var access: Access
        var loop: Int
    }

    private let configuration: EdgeConfiguration
    private let loops: [LoopHandle]
    private let logger: Logger
    private var open: [Place: any Channel] = [:]
    private var failed: [IPv4Address: String] = [:]

    init(configuration: EdgeConfiguration, loops: [LoopHandle], logger: Logger) {
        self.configuration = configuration
        self.loops = loops
        self.logger = logger
    }

    var count: Int { open.count }

    /// Closes what is not wanted and opens what is missing.
    ///
    /// - Returns: how many there should be. Fewer are open when an address could not be bound; try again later.
    mutating func follow(_ addresses: [IPv4Address]) async -> Int {
        var wanted: [Place] = []
        for address in addresses {
            for access in Access.allCases {
                wanted += loops.indices.map { Place(address: address, access: access, loop: $0) }
            }
        }
        let kept = Set(wanted)
        for (place, channel) in open where !kept.contains(place) || !channel.isActive {
            open[place] = nil
            try? await channel.close().get()
        }
        for place in wanted where open[place] == nil {
            do {
                open[place] = try await listen(at: place)
                failed[place.address] = nil
            } catch {
                report(error, at: place)
            }
        }
        return wanted.count
    }

    private mutating func report(_ error: any Error, at place: Place) {
        let text = "\(error)"
        guard failed[place.address] != text else { return }
        failed[place.address] = text
        logger.error(
            "cannot listen, trying again every second",
            metadata: ["address": "\(place.address)", "port": "\(port(of: place.access))", "error": "\(text)"])
    }

    private func port(of access: Access) -> Int {
        switch access {
        case .write: configuration.writePort
        case .read: configuration.readPort
        }
    }

    private func listen(at place: Place) async throws -> any Channel {
        let handle = loops[place.loop]
        var bootstrap = ServerBootstrap(group: handle.eventLoop)
            .serverChannelOption(.backlog, value: EdgeConfiguration.listenBacklog)
            .serverChannelOption(.maxMessagesPerRead, value: EdgeConfiguration.acceptBurst)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause())
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: SocketOptions.waterMark)
            .childChannelOption(.recvAllocator, value: SocketOptions.receiveBuffer)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try handle.present.accept(channel, at: place.address, for: place.access)
                }
            }
        for (option, value) in SocketOptions.listener {
            bootstrap = bootstrap.serverChannelOption(option, value: value)
        }
        let address = try SocketAddress(
            packedIPAddress: ByteBuffer(integer: place.address.bits), port: port(of: place.access))
        return try await bootstrap.bind(to: address).get()
    }
}
