import NIOCore
import RoostPostgresWire

/// Lets a listener rest for a moment when the host is out of file descriptors or memory. Without it the event loop
/// would turn in a circle: the connection that cannot be accepted stays in the backlog and wakes it at once again.
///
/// NIO's own `AcceptBackoffHandler` only puts off the next read; a listener whose very first accept fails has its read
/// still pending, and stays registered.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let length = TimeAmount.milliseconds(100)
    private var isResting = false
    private let report: (SessionCore.Shortage) -> Void

    init(_ report: @escaping (SessionCore.Shortage) -> Void) { self.report = report }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let shortage = SessionCore.Shortage(error) else { return }
        report(shortage)
        rest(context)
    }

    private func rest(_ context: ChannelHandlerContext) {
        guard !isResting else { return }
        isResting = true
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.length) { [self] in
            isResting = false
            try? context.channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
