import NIOCore
import NIOHTTP1

/// Hangs up on a caller whose request has begun and has not come as a whole in its time, and on one who does not take what
/// it is answered. The time of a connection that says nothing begins anew with every byte, and that of one that is being
/// answered does not begin.
final class BodyClock: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: BodyLimits
    private var alarm: Scheduled<Void>?
    /// By when each part that was written and not taken has to be, in the order in which they were written. Parts that wait
    /// are bounded by what the channel lets be written before it is taken.
    private var untaken = CircularBuffer<NIODeadline>()
    /// Looks whether the first of them is late.
    private var answerAlarm: Scheduled<Void>?

    init(_ limits: BodyLimits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            alarm?.cancel()
            alarm = hangUp(context, after: limits.request)
        case .body: break
        case .end:
            // The answers' clock goes on: the next request may come whole before the last answer is taken.
            alarm?.cancel()
            alarm = nil
        }
        context.fireChannelRead(data)
    }

    /// What was written waits here or in the kernel until the caller takes it. Each part has its own time: one answer is
    /// written at once, another one as long as there is something to say.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let isTaken = promise ?? context.eventLoop.makePromise(of: Void.self)
        untaken.append(.now() + limits.answer)
        isTaken.futureResult.assumeIsolated().whenComplete { [self] _ in _ = untaken.popFirst() }
        if answerAlarm == nil { watch(context.channel, at: untaken[untaken.startIndex]) }
        context.write(data, promise: isTaken)
    }

    private func watch(_ channel: any Channel, at deadline: NIODeadline) {
        answerAlarm = channel.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            answerAlarm = nil
            guard let first = untaken.first else { return }
            if first <= .now() { channel.close(promise: nil) } else { watch(channel, at: first) }
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

/// How long the whole of a request, and what is answered, may take on its way.
struct BodyLimits: Sendable {
    /// From a request's head to its end.
    var request: TimeAmount
    /// From when a part of an answer is written until the kernel has all of it.
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
