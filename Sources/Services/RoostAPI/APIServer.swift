import Foundation
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
import RoostLinux
import RoostModel
public import ServiceLifecycle

/// Serves route groups at one door, and opens the door again when it fell shut.
public struct APIServer: Service {
    let router: DoorRouter
    let logger: Logger

    static let retryPause = Duration.milliseconds(500)
    /// A socket is for those the kernel says it is for, and its file says so too.
    static let socketMode: mode_t = 0o600

    /// - Parameter bounds: what is counted over all doors of a host.
    public init(_ door: APIDoor, _ groups: [any RouteGroup], bounds: CallBounds, logger: Logger) {
        router = DoorRouter(door: door, groups: groups, bounds: bounds, logger: logger)
        self.logger = logger
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { await keepServing() }
    }

    /// Serves until the task is cancelled.
    public func keepServing() async {
        let door = router.door
        while !Task.isCancelled {
            do { try await application().run() } catch is CancellationError {
                break
            } catch {
                logger.warning("the API cannot listen yet", metadata: ["at": "\(door.place)", "error": "\(error)"])
            }
            try? await Task.sleep(for: Self.retryPause)
        }
        if case .socket(let path) = door.place { unlink(path) }
    }

    private func application() -> Application<RouterResponder<CallContext>> {
        let door = router.door
        // Hummingbird keeps a request's id in its logger, so a logger that drops everything will not do.
        var quiet = Logger(label: "roost.http")
        quiet.logLevel = .critical
        let address: BindAddress
        let onServerRunning: @Sendable (any Channel) async -> Void
        switch door.place {
        case .tcp(let host, let port):
            address = .hostname(host, port: port)
            onServerRunning = { _ in }
        case .socket(let path):
            unlink(path)
            address = .unixDomainSocket(path: path)
            let mode: mode_t? = if case .root = door.callers { Self.socketMode } else { nil }
            onServerRunning = { _ in if let mode { chmod(path, mode) } }
        }
        return Application(
            responder: router.build().buildResponder(),
            server: .http1(configuration: channelConfiguration(door)),
            configuration: .init(
                address: address, reuseAddress: true,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    door.limits.connectionsMax, logger: quiet)),
            onServerRunning: onServerRunning, logger: quiet)
    }

    private func channelConfiguration(_ door: APIDoor) -> HTTP1Channel.Configuration {
        let idle = TimeAmount(door.limits.idleTime)
        let limits = BodyLimits(request: TimeAmount(door.limits.bodyTime), answer: TimeAmount(door.limits.answerTime))
        guard case .root = door.callers else {
            return .init(additionalChannelHandlers: [BodyClockSetup(limits)], idleTimeout: idle)
        }
        return .init(
            additionalChannelHandlers: [SocketOwnerCheck(), BodyClockSetup(limits)], idleTimeout: idle)
    }
}

/// Hangs up on a process that is neither root's nor of the account that `roostd` runs under: between its making and its
/// change of mode, a socket's file is open to whom the mask of `roostd` leaves it open to.
final class SocketOwnerCheck: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    /// `struct ucred` of Linux (unix(7)), which Glibc shows only with `_GNU_SOURCE`.
    private struct Credentials: Sendable {
        var process: Int32 = 0
        var user: UInt32 = 0
        var group: UInt32 = 0
    }

    /// SO_PEERCRED of asm-generic/socket.h.
    private static let peerCredentials: CInt = 17

    func handlerAdded(context: ChannelHandlerContext) {
        guard let provider = context.channel as? any SocketOptionProvider else { return context.close(promise: nil) }
        let channel = context.channel
        let future: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(
            level: .socket, name: .init(rawValue: Self.peerCredentials))
        future.whenComplete { result in
            guard case .success(let credentials) = result, credentials.user == 0 || credentials.user == geteuid() else {
                channel.close(promise: nil)
                return
            }
        }
    }
}
