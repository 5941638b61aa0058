import NIOCore
import RoostBalancing

/// Tells a client that there are too many, and ends the connection.
///
/// It ends its own side first and reads what the client says until that ends too, or a moment has passed: closing a
/// socket with something unread in it would take back the message that says why.
final class Doorkeeper: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let patience = TimeAmount.seconds(1)
    private var timer: Scheduled<Void>?

    func channelActive(context: ChannelHandlerContext) {
        let response = ErrorResponse(
            .tooManyConnections, "too many connections at this edge", hint: "Connect again in a few seconds.")
        let buffer = context.channel.allocator.buffer(bytes: response.bytes)
        context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
        context.close(mode: .output, promise: nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { context.close(promise: nil) }
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.read() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelEvent { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { timer?.cancel() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
