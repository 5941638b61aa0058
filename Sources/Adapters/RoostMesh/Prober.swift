import CLinux
import Glibc
import Logging
import RoostLinux
import RoostModel
import Synchronization

/// Sends probes to all peers and answers theirs, on a thread of its own: what it measures must not depend on how
/// busy the rest of the process is.
final class Prober: Sendable {
    private let endpoint: UnderlayEndpoint
    private let namespace: String?
    private let logger: Logger
    private let table: Mutex<ProbeTable>

    /// The outside address may come up after us.
    private static let retryInterval = Duration.seconds(1)
    /// Bound on the packets taken before probes that are due are looked at again.
    private static let packetsPerRoundMax = 256
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
        while true {
            let now = BootClock.now()
            let (due, next, turns) = table.withLock { ($0.takeDue(now: now), $0.nextDue, $0.takeTurns(now: now)) }
            for outgoing in due { socket.send(outgoing) }
            for turn in turns { say(turn.carriesSmallPacketsOnly, of: turn.host) }
            let idle = next.map { min($0 - BootClock.now(), Self.idleInterval) } ?? Self.idleInterval
            if socket.wait(for: idle, wake: wake) { return }
            for _ in 0..<Self.packetsPerRoundMax {
                guard let received = socket.receive() else { break }
                guard let source = received.source else { continue }
                let at = BootClock.now()
                if let answer = table.withLock({ $0.receive(received.bytes, from: source, now: at) }) {
                    socket.send(answer)
                }
            }
        }
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
