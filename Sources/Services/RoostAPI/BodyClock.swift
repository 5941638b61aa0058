import NIOCore
import NIOHTTP1

/// Hangs up on a caller whose request has begun and has not come as a whole in its time, and on one who does not take an
/// answer that has begun. The time of a connection that says nothing begins anew with every byte, and that of one that is
/// being answered does not begin.
final class BodyClock: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: BodyLimits
    private var alarm: Scheduled<Void>?
    /// Of an answer whose end was not written yet.
    private var answerAlarm: Scheduled<Void>?

    init(_ limits: BodyLimits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            alarm?.cancel()
            alarm = hangUp(context, after: limits.request)
        case .body: break
        case .end:
            // The answer's clock goes on: the next request may come whole before the last answer is taken.
            alarm?.cancel()
            alarm = nil
        }
        context.fireChannelRead(data)
    }

    /// What was written waits here or in the kernel until the caller takes it: the whole of it is gone when its end is.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            // `100 Continue` and its like are no answer yet.
            if head.status.code >= 200 {
                answerAlarm?.cancel()
                answerAlarm = hangUp(context, after: limits.answer)
            }
            context.write(data, promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            let isTaken = promise ?? context.eventLoop.makePromise(of: Void.self)
            if let answerAlarm { isTaken.futureResult.whenComplete { _ in answerAlarm.cancel() } }
            answerAlarm = nil
            context.write(data, promise: isTaken)
        }
    }

    private func hangUp(_ context: ChannelHandlerContext, after time: TimeAmount) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        answerAlarm?.cancel()
        answerAlarm = nil
        alarm?.cancel()
        alarm = nil
    }
}

/// How long the whole of a request, and of an answer, may take on its way.
struct BodyLimits: Sendable {
    /// From a request's head to its end.
    var request: TimeAmount
    /// From an answer's head until the kernel has all of it.
    var answer: TimeAmount
}

/// Puts a connection's ``BodyClock`` right behind what takes requests apart: where handlers of one's own are put, only those
/// of the library know their types.
final class BodyClockSetup: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let limits: BodyLimits

    init(_ limits: BodyLimits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(BodyClock(limits), position: .after(decoder))
        } catch {
            // Without it, whoever has come could stay for ever.
            context.close(promise: nil)
        }
    }
}
