import NIOCore
import NIOPosix
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization

/// A backend that says what a test wants to see said. After its login it sends back whatever it gets.
final class FakeBackend: Sendable {
    enum Manner: Sendable {
        /// A primary: logs everybody in and says its name.
        case primary
        /// A standby that logs everybody in.
        case standby
        /// A standby that asks for a password first.
        case standbyWithPassword
        /// "The database system is starting up".
        case starting
        /// Accepts, and never says anything.
        case silent
        /// Accepts and closes.
        case closing
    }

    let backend: Backend
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    private let counts = Counts()

    final class Counts: Sendable {
        let connections = Atomic(0)
        let open = Atomic(0)
        let firstPackets = Mutex<[[UInt8]]>([])
    }

    var connections: Int { counts.connections.load(ordering: .relaxed) }
    var open: Int { counts.open.load(ordering: .relaxed) }
    /// What each connection sent first.
    var firstPackets: [[UInt8]] { counts.firstPackets.withLock { $0 } }

    init(_ name: String, _ manner: Manner, port: Int = 0) async throws {
        let counts = counts
        let box = Box(manner)
        let said = name
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 2048)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Conversation(said, box.value, counts))
                }
            }
            .bind(host: "::1", port: port).get()
        self.box = box
        backend = Backend(
            member: try MemberName(name), address: IPv6Address(high: 0, low: 1),
            port: UInt16(channel.localAddress?.port ?? 0))
    }

    private final class Box: Sendable {
        private let manner: Mutex<Manner>
        init(_ manner: Manner) { self.manner = Mutex(manner) }
        var value: Manner { manner.withLock { $0 } }
        func set(_ manner: Manner) { self.manner.withLock { $0 = manner } }
    }

    private let box: Box

    func become(_ manner: Manner) { box.set(manner) }

    func stop() async {
        try? await channel.close().get()
        try? await group.shutdownGracefully()
    }

    private final class Conversation: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let name: String
        private let manner: Manner
        private let counts: Counts
        private var hasAnswered = false
        private var hasAsked = false

        init(_ name: String, _ manner: Manner, _ counts: Counts) {
            self.name = name
            self.manner = manner
            self.counts = counts
        }

        func channelActive(context: ChannelHandlerContext) {
            counts.connections.add(1, ordering: .relaxed)
            counts.open.add(1, ordering: .relaxed)
        }

        /// Reads no more than it can send back.
        func read(context: ChannelHandlerContext) {
            if context.channel.isWritable { context.read() }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            if context.channel.isWritable { context.read() }
        }

        func channelInactive(context: ChannelHandlerContext) { counts.open.subtract(1, ordering: .relaxed) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !hasAnswered else {
                if hasAsked {
                    // Any password will do.
                    hasAsked = false
                    return say(context, login(isStandby: true))
                }
                return context.writeAndFlush(data, promise: nil)
            }
            hasAnswered = true
            counts.firstPackets.withLock { $0.append(Array(buffer: Self.unwrapInboundIn(data))) }
            switch manner {
            case .primary: say(context, login(isStandby: false))
            case .standby: say(context, login(isStandby: true))
            case .standbyWithPassword:
                say(context, message("R", bigEndian(3)))
                hasAsked = true
            case .starting:
                say(
                    context, message("E", Array("SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0".utf8))
                )
                context.close(promise: nil)
            case .silent: return
            case .closing: context.close(promise: nil)
            }
        }

        private func say(_ context: ChannelHandlerContext, _ bytes: [UInt8]) {
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        }

        private func login(isStandby: Bool) -> [UInt8] {
            let parameter = { (key: String, value: String) in message("S", Array("\(key)\0\(value)\0".utf8)) }
            return message("R", bigEndian(0)) + parameter("member", self.name)
                + parameter("in_hot_standby", isStandby ? "on" : "off") + message("Z", [UInt8(ascii: "I")])
        }
    }
}

/// Which fake backend a client was logged in by.
func member(in stream: [UInt8]) -> String? {
    for (type, body) in messages(in: stream) where type == "S" {
        let texts = body.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        if texts.first == "member" { return texts.last }
    }
    return nil
}

/// Runs `body` with a fake backend that is stopped afterwards.
func withBackend(
    _ name: String, _ manner: FakeBackend.Manner, _ body: (FakeBackend) async throws -> Void
) async throws {
    let backend = try await FakeBackend(name, manner)
    do {
        try await body(backend)
    } catch {
        await backend.stop()
        throw error
    }
    await backend.stop()
}
