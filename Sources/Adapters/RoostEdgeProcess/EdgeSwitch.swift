public import Logging
import RoostLinux
public import RoostModel
public import RoostWire
import Synchronization

/// The note beside a host's ledger that somebody has stopped its edge. Whoever stopped it said so: it does not come back by
/// itself.
public struct StoppedNote: Sendable {
    private let path: String

    public init(path: String) { self.path = path }

    /// A note that is there and cannot be read counts: an edge too few is seen (`roost hosts` shows it as stopped), one that
    /// serves against somebody's word is not.
    public func isThere(_ logger: Logger) -> Bool {
        do throws(SystemError) {
            return try DurableFile.read(path) != nil
        } catch {
            logger.error(
                "whether the edge was stopped cannot be read; it stays stopped until it is started",
                metadata: ["error": "\(error)"])
            return true
        }
    }

    fileprivate func put() throws(SystemError) { try DurableFile.write("stopped\n", to: path) }
    fileprivate func take() throws(SystemError) { try DurableFile.remove(path) }
}

/// Whether a host's edge is to serve: what was ordered last, written down before it is done, and the way off the air in its
/// order: drain, withdraw, close the door.
///
/// An order that is overtaken by another one does nothing more to what the later one wants.
public final class EdgeSwitch: Sendable {
    private enum Position {
        case serving
        /// Each way off the air has a number: whoever began one must not end the next one early.
        case draining(number: Int)
        case stopped
    }

    /// From "take another edge if there is one" to withdrawing: the neighbours have chosen the next edge, and told
    /// theirs, while what was on its way here still arrives (RFC 8326).
    public static let drainTime = Duration.seconds(1)

    private let note: StoppedNote
    private let drainTime: Duration
    private let announce: @Sendable (EdgeHealth) -> Void
    private let accept: @Sendable (Bool) -> Void
    private let position: Mutex<Position>
    private let drains = Atomic(0)
    /// What is written down and what is wanted change together.
    private let turns = Turnstile()

    /// - Parameters:
    ///   - isStopped: what the note said, when the announcement and the door were made.
    ///   - announce: what is to be announced at most.
    ///   - accept: whether new clients are let in.
    public init(
        _ note: StoppedNote, isStopped: Bool, drainTime: Duration = EdgeSwitch.drainTime,
        announce: @escaping @Sendable (EdgeHealth) -> Void, accept: @escaping @Sendable (Bool) -> Void
    ) {
        self.note = note
        self.drainTime = drainTime
        self.announce = announce
        self.accept = accept
        position = Mutex(isStopped ? .stopped : .serving)
    }

    /// Somebody stopped it, and nobody has started it since.
    public var isStopped: Bool {
        position.withLock { position in
            switch position {
            case .serving: false
            case .draining, .stopped: true
            }
        }
    }

    /// Returns when nothing is announced and nobody is let in any more. One that is stopped already stays so.
    ///
    /// Nothing changes where it could not be written down: an edge that was stopped must not come back by itself.
    public func stop() async throws(Refusal) {
        let number = try await turns.pass { () async throws(Refusal) in
            try await keep { [note] () throws(SystemError) in try note.put() }
            return beginDrain()
        }
        guard let number else { return }
        await pause()
        let isDone = await turns.pass { endDrain(number) }
        guard isDone else {
            throw Refusal(.failedPrecondition, "the edge was started again while it drained, and is not stopped")
        }
    }

    /// Announces and lets clients in from now on, as far as the edge is well.
    public func start() async throws(Refusal) {
        try await turns.pass { () async throws(Refusal) in
            try await keep { [note] () throws(SystemError) in try note.take() }
            position.withLock { $0 = .serving }
            accept(true)
            announce(.healthy)
        }
    }

    /// - Returns: the number of the drain that is under way; nil: there is nothing left to be done.
    private func beginDrain() -> Int? {
        let (number, isNew) = position.withLock { position -> (Int?, Bool) in
            switch position {
            case .serving:
                let number = drains.add(1, ordering: .relaxed).newValue
                position = .draining(number: number)
                return (number, true)
            case .draining(let number): return (number, false)
            case .stopped: return (nil, false)
            }
        }
        if isNew { announce(.draining) }
        return number
    }

    /// - Returns: whether that drain is over: by this call, or by another one that asked for the same.
    private func endDrain(_ number: Int) -> Bool {
        let (isEnded, isStopped) = position.withLock { position -> (Bool, Bool) in
            switch position {
            case .draining(number):
                position = .stopped
                return (true, true)
            case .stopped: return (false, true)
            case .draining, .serving: return (false, false)
            }
        }
        guard isEnded else { return isStopped }
        announce(.down)
        accept(false)
        return true
    }

    /// In a task of its own: whoever asked and went away does not make it shorter.
    private func pause() async {
        let time = drainTime
        await Task { try? await Task.sleep(for: time) }.value
    }

    private func keep(_ write: @escaping @Sendable () throws(SystemError) -> Void) async throws(Refusal) {
        do throws(SystemError) {
            try await BlockingCall.run(write)
        } catch {
            throw Refusal(.failed, "the state of the edge could not be kept", details: "\(error)")
        }
    }
}
