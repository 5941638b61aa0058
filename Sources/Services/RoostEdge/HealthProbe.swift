import Glibc
import NIOCore
import NIOPosix
import RoostModel
import RoostPostgresWire
import Synchronization

/// Asks whether this edge works, without asking anybody else: do the event loops turn, is a connection accepted and
/// answered.
struct HealthProbe {
    let loops: [any EventLoop]
    /// Asks; none of `loops`, which may be busy with clients.
    let asker: any EventLoop
    let port: Int

    /// SSLRequest (PostgreSQL documentation, "Message Formats"): whatever the answer, one byte of it is enough.
    private static let question: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]

    enum Answer: Hashable, Sendable {
        /// Every loop turned, and the connection was answered.
        case inTime
        /// Not all of that, and nothing that says why.
        case late
        /// The connection was refused: nobody listens at the address, or no way leads there.
        case refused
    }

    /// The waiting is bounded by this task's own timer, not by the loops': they are what is in question.
    func check(_ address: IPv4Address?, within time: Duration) async -> Answer {
        let (signs, alive) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(loops.count + 1))
        for loop in loops { loop.execute { alive.yield() } }
        let expected = loops.count + (address == nil ? 0 : 1)
        if let address { probe(address, within: time, alive: alive) }
        return await withTaskGroup(of: Answer.self) { group in
            group.addTask {
                try? await Task.sleep(for: time)
                return .late
            }
            group.addTask {
                var seen = 0
                for await _ in signs {
                    seen += 1
                    if seen == expected { return .inTime }
                }
                // Ended by the probe, or with this task: then the time is over.
                return Task.isCancelled ? .late : .refused
            }
            let answer = await group.next() ?? .late
            group.cancelAll()
            return answer
        }
    }

    private func probe(
        _ address: IPv4Address, within time: Duration, alive: AsyncStream<Void>.Continuation
    ) {
        guard let target = try? SocketAddress(packedIPAddress: ByteBuffer(integer: address.bits), port: port) else {
            return
        }
        ClientBootstrap(group: asker)
            .connectTimeout(time.timeAmount)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Ten checks a second would leave 600 sockets in TIME-WAIT.
                    SocketOptions.closeByReset(channel)
                    try channel.pipeline.syncOperations.addHandler(Questioner(alive, within: time))
                }
            }
            .connect(to: target)
            .whenFailure { error in
                switch SessionCore.ConnectFailure(error) {
                // Out of ports or files there is nothing to ask with; that the loops turn must do.
                case .short: alive.yield()
                case .unreachable: if !Self.isTimeout(error) { alive.finish() }
                }
            }
    }

    /// A queue of connections that is full makes them late, and refuses none.
    private static func isTimeout(_ error: any Error) -> Bool {
        let single = (error as? NIOConnectionError)?.connectionErrors.first?.error ?? error
        if case .connectTimeout? = single as? ChannelError { return true }
        return (single as? IOError)?.errnoCode == ETIMEDOUT
    }

    /// Sends the question, and is content with any answer.
    private final class Questioner: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let alive: AsyncStream<Void>.Continuation
        private let time: Duration
        private var timer: Scheduled<Void>?

        init(_ alive: AsyncStream<Void>.Continuation, within time: Duration) {
            self.alive = alive
            self.time = time
        }

        func channelActive(context: ChannelHandlerContext) {
            let buffer = context.channel.allocator.buffer(bytes: HealthProbe.question)
            context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: time.timeAmount) {
                context.close(promise: nil)
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            alive.yield()
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { timer?.cancel() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// What came out of one check, and what it means. Pure.
///
/// An edge that many clients keep busy answers a check late, and is no less healthy for it: where it withdrew, they would
/// go to the next edge, and on from there to all. So a late answer counts as long as clients are answered and every loop
/// turns. A refusal does not, however many are answered at other addresses: clients of this one are turned away. While this
/// host is out of something (ports, files, memory) nobody can be answered, here as anywhere, and that the loops turn must
/// do.
struct HealthSigns: Hashable, Sendable {
    var answer: HealthProbe.Answer
    /// Clients were answered while the check went on.
    var answersClients: Bool
    /// This host was out of something just now.
    var isShort: Bool
    /// For how long the stillest of the loops has not turned.
    var stillness: Duration

    /// A loop that does nothing for so long hangs, however much there is to do: every client that it takes in or answers
    /// is a sign that it does not.
    static let stillnessMax = Duration.seconds(2)

    var isHealthy: Bool {
        switch answer {
        case .inTime: true
        case .late: (answersClients || isShort) && stillness < Self.stillnessMax
        case .refused: isShort && stillness < Self.stillnessMax
        }
    }
}

/// When an event loop has turned, or done something in a turn, last. Written on the loop, read from anywhere.
final class LoopPulse: Sendable {
    private let turned = Atomic(LoopPulse.clock)

    private static var clock: Int { Int(Moment.present.sinceBoot.milliseconds) }

    func beat() { turned.store(Self.clock, ordering: .relaxed) }
    var stillness: Duration { .milliseconds(Self.clock - turned.load(ordering: .relaxed)) }
}
