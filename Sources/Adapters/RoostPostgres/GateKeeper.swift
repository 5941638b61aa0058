import Glibc
import Logging
import RoostLinux
import RoostModel
import Synchronization

/// Sees that clients come in or stay out, as the core last said: at the host's gate in front of the machine, and in
/// Postgres's own access rules. What the host does not take it is told again.
final class GateKeeper: Sendable {
    private static let interval = Duration.milliseconds(50)
    /// Said again this often without need, should the host have forgotten.
    private static let reassurance = Duration.seconds(5)
    private static let pause = Duration.milliseconds(200)

    private struct State {
        var isOpen = false
        /// What the host was told last, and when; nil: must be told.
        var told: (isOpen: Bool, at: Moment)?
    }

    private let state = Mutex(State())
    private let link: StoreLink
    private let instance: PostgresInstance
    private let logger: Logger

    init(link: StoreLink, instance: PostgresInstance, logger: Logger) {
        self.link = link
        self.instance = instance
        self.logger = logger
    }

    func set(isOpen: Bool) {
        state.withLock { state in
            state.isOpen = isOpen
            state.told = nil
        }
    }

    func repeatWord() { state.withLock { $0.told = nil } }

    /// Runs on a thread of its own.
    func work(isOver: () -> Bool) {
        while !isOver() {
            let wanted = state.withLock { state -> Bool? in
                guard let told = state.told else { return state.isOpen }
                return BootClock.now() - told.at > Self.reassurance ? state.isOpen : nil
            }
            guard let wanted else {
                usleep(UInt32(Self.interval.milliseconds * 1000))
                continue
            }
            do {
                try instance.admit(wanted)
                try link.setGate(isOpen: wanted)
                state.withLock { state in
                    if state.isOpen == wanted { state.told = (wanted, BootClock.now()) }
                }
            } catch {
                logger.notice("the gate was not set", metadata: ["open": "\(wanted)", "why": "\(error)"])
                usleep(UInt32(Self.pause.milliseconds * 1000))
            }
        }
    }
}
