public import Logging
public import RoostHost
import RoostLinux
public import RoostModel
public import ServiceLifecycle
import Synchronization

/// The second guard against two primaries: kills a leader's machine whose lease ran out although the member has
/// not said that its Postgres is stopped. The first guard is the member's own deadline; this one also works when
/// the member is frozen.
public final class LeaseWarden: Service, Sendable {
    /// The member's lease, and how long it gets to stop by itself after that.
    public static let lease = Duration.seconds(6)
    public static let grace = Duration.seconds(1)
    static let checkInterval = Duration.milliseconds(250)

    private struct Watch {
        var renewedAt: Moment
        var epoch: Epoch
    }

    private let agent: HostAgent
    private let logger: Logger
    private let watches = Mutex<[MachineID: Watch]>([:])

    public init(agent: HostAgent, logger: Logger) {
        self.agent = agent
        self.logger = logger
    }

    /// A heartbeat of the machine's member was accepted by the store; it was asked for at `requestedAt`.
    public func noteRenewal(by machine: MachineID, epoch: Epoch, requestedAt: Moment) {
        watches.withLock { watches in
            if let present = watches[machine], present.epoch == epoch, present.renewedAt > requestedAt { return }
            watches[machine] = Watch(renewedAt: requestedAt, epoch: epoch)
        }
    }

    /// What the member says of itself, whether or not the store could be told.
    public func noteReport(_ report: MemberReport, by machine: MachineID) {
        if report.role == .primary, report.state == .running || report.state == .starting { return }
        watches.withLock { $0[machine] = nil }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                await check(at: BootClock.now())
                try? await Task.sleep(for: Self.checkInterval)
            }
        }
    }

    private func check(at now: Moment) async {
        let overdue = watches.withLock { watches -> [MachineID] in
            let overdue = watches.filter { $0.value.renewedAt + Self.lease + Self.grace < now }.map(\.key)
            for machine in overdue { watches[machine] = nil }
            return overdue
        }
        for machine in overdue {
            logger.error(
                "a leader's lease ran out and its member did not stop it; killing the machine",
                metadata: ["machine": "\(machine)"])
            do { try await agent.kill(machine) } catch {
                logger.critical(
                    "cannot kill an overdue leader", metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        }
    }
}
