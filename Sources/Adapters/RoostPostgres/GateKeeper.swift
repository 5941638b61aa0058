import Glibc
import Logging
import RoostFailover
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
        /// What the core was told of the last word; nil: nothing yet.
        var answer: Answer?
    }

    private struct Answer: Hashable {
        var isOpen: Bool
        var failure: String?
    }

    private let state = Mutex(State())
    private let link: StoreLink
    private let instance: PostgresInstance
    private let events: EventQueue
    private let logger: Logger

    init(link: StoreLink, instance: PostgresInstance, events: EventQueue, logger: Logger) {
        self.link = link
        self.instance = instance
        self.events = events
        self.logger = logger
    }

    func set(isOpen: Bool) {
        instance.isWantedOpen.withLock { $0 = isOpen }
        state.withLock { state in
            state.isOpen = isOpen
            state.told = nil
            state.answer = nil
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
                answer(Answer(isOpen: wanted, failure: nil))
            } catch {
                logger.notice("the gate was not set", metadata: ["open": "\(wanted)", "why": "\(error)"])
                answer(Answer(isOpen: wanted, failure: "\(error)"))
                usleep(UInt32(Self.pause.milliseconds * 1000))
            }
        }
    }

    /// The core hears each thing once.
    private func answer(_ answer: Answer) {
        let isNews = state.withLock { state in
            guard state.isOpen == answer.isOpen, state.answer != answer else { return false }
            state.answer = answer
            return true
        }
        if isNews { events.put(.gateAnswered(isOpen: answer.isOpen, failure: answer.failure)) }
    }
}
