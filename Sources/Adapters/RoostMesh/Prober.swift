import CLinux
import Glibc
import Logging
import RoostLinux
import RoostModel
import Synchronization

/// Sends probes to all peers and answers theirs, on a thread of its own: what it measures must not depend on how
/// busy the rest of the process is.
///
/// It looks at its socket in rounds: to wake up for every packet would cost several times as much. What is measured does
/// not suffer: the kernel's stamp says when a packet came, and an answer says how long the probe was held.
final class Prober: Sendable {
    private let endpoint: UnderlayEndpoint
    private let namespace: String?
    private let logger: Logger
    private let table: Mutex<ProbeTable>

    /// The outside address may come up after us.
    private static let retryInterval = Duration.seconds(1)
    /// How often the socket is looked at. A program that knows nothing of held probes measures half of it too much.
    static let roundInterval = Duration.milliseconds(40)
    /// Bound on the packets taken before probes that are due are looked at again.
    private static let packetsPerRoundMax = 256
    /// How often it is looked whether a path carries large packets.
    private static let turnInterval = Duration.seconds(1)
    /// Without peers.
    private static let idleInterval = Duration.seconds(1)

    /// - Parameter datagramBytes: of the largest packet that the mesh sends, without its IP and UDP headers.
    init(endpoint: UnderlayEndpoint, namespace: String?, datagramBytes: Int, logger: Logger) {
        self.endpoint = endpoint
        self.namespace = namespace
        self.logger = logger
        table = Mutex(ProbeTable(datagramBytes: datagramBytes))
    }

    func setTargets(_ peers: [ProbeTarget]) {
        table.withLock { $0.setTargets(peers, now: BootClock.now()) }
    }

    func measurements() -> [PathMeasurement] {
        table.withLock { $0.measurements(now: BootClock.now()) }
    }

    /// Runs until the task is cancelled.
    func run() async throws(SystemError) {
        let wake = try Bell()
        await withTaskCancellationHandler {
            await BlockingCall.run {
                roost_name_thread("roost-probes")
                self.loop(wake: wake.descriptor)
            }
        } onCancel: {
            wake.ring()
        }
    }

    /// On the thread.
    private func loop(wake: Int32) {
        var isReported = false
        while true {
            do throws(SystemError) {
                let socket = try ProbeSocket(on: endpoint, namespace: namespace)
                serve(socket, wake: wake)
                return
            } catch {
                if !isReported { logger.warning("probes wait for the outside address", metadata: ["why": "\(error)"]) }
                isReported = true
            }
            var entry = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
            if Glibc.poll(&entry, 1, Int32(clamping: Self.retryInterval.milliseconds)) > 0 { return }
        }
    }

    private func serve(_ socket: borrowing ProbeSocket, wake: Int32) {
        var turnsDue = BootClock.now()
        while true {
            let isMore = answer(on: socket)
            let now = BootClock.now()
            let areTurnsDue = now >= turnsDue
            let (due, turns, isEmpty) = table.withLock {
                ($0.takeDue(now: now), areTurnsDue ? $0.takeTurns(now: now) : [], $0.isEmpty)
            }
            for outgoing in due { socket.send(outgoing) }
            if areTurnsDue { turnsDue = now + Self.turnInterval }
            for turn in turns { say(turn.carriesSmallPacketsOnly, of: turn.host) }
            let rest = isMore ? .zero : isEmpty ? Self.idleInterval : Self.roundInterval
            var entry = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
            if Glibc.poll(&entry, 1, Int32(clamping: rest.milliseconds)) > 0 { return }
        }
    }

    /// Takes what waits and answers it.
    /// - Returns: whether there may be more.
    private func answer(on socket: borrowing ProbeSocket) -> Bool {
        for _ in 0..<Self.packetsPerRoundMax {
            guard let packet = socket.receive() else { return false }
            guard let source = packet.source else { continue }
            let now = BootClock.now()
            let answer = table.withLock {
                $0.receive(packet.bytes, from: source, arrival: now + (.zero - packet.waited), now: now)
            }
            if let answer { socket.send(answer) }
        }
        return true
    }

    private func say(_ carriesSmallPacketsOnly: Bool, of host: HostName) {
        if carriesSmallPacketsOnly {
            logger.error(
                "a path carries small packets only: something on it drops large ones and does not say so",
                metadata: ["host": "\(host)", "advice": "set mesh.mtu on both hosts to what the path carries, less 80"])
        } else {
            logger.notice("a path carries packets of full size again", metadata: ["host": "\(host)"])
        }
    }
}
