import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

/// Has on the disk what a member promises, before anything rests on it.
///
/// While that cannot be done the core stands still, as if the process were frozen, which it withstands anywhere: no
/// question is answered, no lease renewed, and a leader's Postgres is ended when its lease is over (``LeaseWatch``). What
/// people are told is said from here. Ending the program instead would only begin the same again, and lose the words.
final class PromiseKeeper: Sendable {
    private struct State {
        /// What the member said of itself last: true still, as nothing has changed since.
        var report: MemberReport?
        /// As the core wants the gate.
        var isOpen = false
        var isEnding = false
    }

    private static let retryInterval = Duration.seconds(1)
    private static let loggedInterval = Duration.seconds(30)

    private let link: StoreLink
    private let instance: PostgresInstance
    private let gate: GateKeeper
    private let logger: Logger
    private let state = Mutex(State())
    private let bell: Bell

    init(link: StoreLink, instance: PostgresInstance, gate: GateKeeper, logger: Logger) throws(SystemError) {
        self.link = link
        self.instance = instance
        self.gate = gate
        self.logger = logger
        bell = try Bell()
    }

    /// Hears what the member says of itself.
    func note(_ report: MemberReport) { state.withLock { $0.report = report } }

    /// Hears what the core wants of the gate.
    func note(gateIsOpen isOpen: Bool) { state.withLock { $0.isOpen = isOpen } }

    /// The machine is to stop, and waits for nothing.
    func end() {
        state.withLock { $0.isEnding = true }
        bell.ring()
    }

    /// Returns when `write` has succeeded.
    ///
    /// - Parameter promised: what is on the disk until then.
    @available(*, noasync, message: "it waits for the disk; the core's thread calls it")
    func keep(_ member: MemberName, promised: Epoch, _ write: () throws(MemberFileError) -> Void) {
        guard let first = failure(of: write) else { return }
        // Readers are served by what the member has promised to follow.
        gate.set(isOpen: false)
        var failure: MemberFileError? = first
        var loggedAt: Moment?
        while let error = failure {
            if loggedAt.map({ BootClock.now() - $0 >= Self.loggedInterval }) ?? true {
                logger.critical("the member's promises cannot be kept", metadata: ["why": "\(error)"])
                loggedAt = BootClock.now()
            }
            guard !state.withLock({ $0.isEnding }) else {
                instance.kill()
                _exit(1)
            }
            tell(error, member, promised)
            bell.wait(within: Self.retryInterval)
            failure = self.failure(of: write)
        }
        logger.notice("the member's promises are on the disk again")
        gate.set(isOpen: state.withLock { $0.isOpen })
    }

    private func failure(of write: () throws(MemberFileError) -> Void) -> MemberFileError? {
        do {
            try write()
            return nil
        } catch { return error }
    }

    private func tell(_ error: MemberFileError, _ member: MemberName, _ promised: Epoch) {
        let report = state.withLock { state in
            // Before it has said anything no Postgres runs.
            var report =
                state.report
                ?? MemberReport(
                    member: member, role: .standby, state: .failed, promised: promised, position: nil, timeline: 0,
                    replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, sequence: 0)
            report.state = .failed
            report.isStreaming = false
            report.detail = Self.words(error, instance.layout.shortage())
            report.sequence = RecordNumber.next(own: report.sequence ?? 0, known: 0)
            state.report = report
            return report
        }
        _ = link.report(report)
    }

    static func words(_ error: MemberFileError, _ shortage: String?) -> String {
        (["cannot keep promises, so it makes none: \(error.cause)"] + [shortage].compactMap(\.self)).joined(
            separator: "; ")
    }
}
