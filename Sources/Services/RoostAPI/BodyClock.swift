import NIOCore
import NIOHTTP1

/// Hangs up on a caller whose request has begun and has not come as a whole in its time. The time of a connection that says
/// nothing begins anew with every byte.
final class BodyClock: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let limit: TimeAmount
    private var alarm: Scheduled<Void>?

    init(_ limit: TimeAmount) { self.limit = limit }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            let channel = context.channel
            alarm?.cancel()
            alarm = context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        case .body: break
        case .end: stop()
        }
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        alarm?.cancel()
        alarm = nil
    }
}

/// Puts a connection's ``BodyClock`` right behind what takes requests apart: where handlers of one's own are put, only those
/// of the library know their types.
final class BodyClockSetup: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let limit: TimeAmount

    init(_ limit: TimeAmount) { self.limit = limit }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(BodyClock(limit), position: .after(decoder))
        } catch {
            // Without it, whoever has come could stay for ever.
            context.close(promise: nil)
        }
    }
}
