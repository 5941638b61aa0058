import NIOCore
import NIOTLS
import RoostPostgresWire

/// One of the two connections of a session: to the client, or to the member.
///
/// Until it has a partner, what arrives is the session's to read. Once it has one, bytes go straight to the partner.
/// Nothing is read that the partner has no room for, so a session holds a bounded number of bytes.
final class Leg: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Side {
        case client
        case backend(attempt: Int)
    }

    let side: Side
    private var session: Session?
    private(set) var context: ChannelHandlerContext?
    private var partner: Leg?
    /// There is room for more. Kept here because the channel's own answer costs more, at every message.
    private var isWritable = true
    /// The partner had no room; it says when it has.
    private var isReadDue = false

    init(_ side: Side, of session: Session) {
        self.side = side
        self.session = session
    }

    /// What arrives from now on goes to `partner`.
    func relay(to partner: Leg) {
        self.partner = partner
        readOn()
    }

    /// What arrives from now on is the session's again.
    func stopRelaying() {
        partner = nil
        isReadDue = false
    }

    /// Lets go of the session, and closes. What was not sent yet is dropped.
    func close() {
        session = nil
        partner = nil
        context?.close(promise: nil)
        context = nil
    }

    func read() { context?.read() }

    func send(_ bytes: [UInt8]) {
        guard let context else { return }
        context.writeAndFlush(Self.wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }

    /// Ends this direction once everything is sent; the other one goes on.
    func finishSending() { context?.close(mode: .output, promise: nil) }

    /// Calls back when everything that was sent has left, or cannot any more.
    func whenSent(_ done: @escaping () -> Void) {
        guard let context else { return done() }
        let empty = Self.wrapOutboundOut(ByteBuffer())
        context.writeAndFlush(empty).assumeIsolated().whenComplete { _ in done() }
    }

    private func readOn() {
        guard let partner else { return }
        if partner.isWritable {
            context?.read()
        } else {
            isReadDue = true
        }
    }

    // MARK: Events of the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        session?.began(side)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let partner {
            partner.context?.write(data, promise: nil)
        } else {
            let bytes = Array(buffer: Self.unwrapInboundIn(data))
            switch side {
            case .client: session?.receive(.clientSaid(bytes))
            case .backend(let attempt): session?.receive(.backendSaid(attempt: attempt, bytes))
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if let partner {
            partner.context?.flush()
            readOn()
        } else {
            session?.readOn()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        guard isWritable, let partner, partner.isReadDue else { return }
        partner.isReadDue = false
        partner.readOn()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed = event as? ChannelEvent {
            switch side {
            case .client: session?.receive(.clientSaidAll)
            case .backend(let attempt): session?.receive(.backendEnded(attempt: attempt))
            }
        } else if case .handshakeCompleted(let name) = event as? TLSUserEvent {
            session?.receive(.tlsBegan(protocolName: name))
        }
    }

    func channelInactive(context: ChannelHandlerContext) { ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A TLS client that leaves without saying so is no different from one in clear.
        if TLSContext.isUncleanEnd(error) { return }
        ended()
    }

    private func ended() {
        switch side {
        case .client: session?.receive(.clientGone)
        case .backend(let attempt): session?.receive(.backendEnded(attempt: attempt))
        }
    }
}
