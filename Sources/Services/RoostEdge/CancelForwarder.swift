import NIOCore
import RoostRouting

/// Takes a cancel request to every member its session may be on. The members that do not know its key ignore it.
final class CancelForwarder {
    private let request: [UInt8]
    private let targets: [Backend]
    private let loop: EdgeLoop
    private var channels: [any Channel] = []
    private var waiting = 0
    private var done: (() -> Void)?

    init(_ request: [UInt8], to targets: [Backend], on loop: EdgeLoop) {
        self.request = request
        self.targets = targets
        self.loop = loop
    }

    /// `done` is called once, when every member has closed its connection or could not be reached.
    func start(_ done: @escaping () -> Void) {
        self.done = done
        waiting = targets.count
        guard waiting > 0 else { return end() }
        let this = NIOLoopBound(self, eventLoop: loop.eventLoop)
        for target in targets {
            loop.connect(to: target) { channel in
                try channel.pipeline.syncOperations.addHandler(this.value.messenger())
                this.value.channels.append(channel)
            }.assumeIsolated().whenFailure { _ in
                this.value.handled()
            }
        }
    }

    func stop() {
        done = nil
        for channel in channels { channel.close(promise: nil) }
        channels = []
    }

    private func messenger() -> Messenger {
        let this = NIOLoopBound(self, eventLoop: loop.eventLoop)
        return Messenger(request) { this.value.handled() }
    }

    private func handled() {
        waiting -= 1
        if waiting == 0 { end() }
    }

    private func end() {
        let done = done
        self.done = nil
        done?()
    }

    /// Sends the request; the member answers by closing.
    private final class Messenger: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let request: [UInt8]
        private let done: () -> Void

        init(_ request: [UInt8], done: @escaping () -> Void) {
            self.request = request
            self.done = done
        }

        func channelActive(context: ChannelHandlerContext) {
            let buffer = context.channel.allocator.buffer(bytes: request)
            context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
            context.read()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            // A member says nothing to a cancel request.
            context.close(promise: nil)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is ChannelEvent { context.close(promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { done() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
