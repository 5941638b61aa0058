import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

/// Sees that clients come in or stay out, as the core last said: at the host's gate in front of the machine, and in
/// Postgres's own access rules. What the host does not take it is told again.
///
/// One thread opens and another closes, so that a word to close never waits behind one to open that the host has not
/// answered. Words are numbered: the host lets the later one stand, in whatever order they come.
final class GateKeeper: Sendable {
    /// Said again this often without need, should the host have forgotten.
    private static let reassurance = Duration.seconds(5)
    private static let pause = Duration.milliseconds(200)

    private struct State {
        var word = Word(number: 0, isOpen: false).next(false)
        /// What the host was told last, and when; nil: must be told.
        var told: (word: Word, at: Moment)?
        /// The last word to close that one of the two places has taken.
        var kept: Word?
        /// What the core was told of the last word; nil: nothing yet.
        var answer: Answer?
    }

    fileprivate struct Word: Hashable {
        var number: UInt64
        var isOpen: Bool
    }

    private struct Answer: Hashable {
        var isOpen: Bool
        var failure: String?
    }

    private let state = Mutex(State())
    private let opening: Bell
    private let closing: Bell
    private let link: StoreLink
    private let instance: PostgresInstance
    private let events: EventQueue
    private let logger: Logger

    init(link: StoreLink, instance: PostgresInstance, events: EventQueue, logger: Logger) throws(SystemError) {
        self.link = link
        self.instance = instance
        self.events = events
        self.logger = logger
        opening = try Bell()
        closing = try Bell()
    }

    func set(isOpen: Bool) {
        instance.want(open: isOpen)
        state.withLock { state in
            state.word = state.word.next(isOpen)
            state.told = nil
            state.answer = nil
        }
        bell(isOpen).ring()
    }

    func repeatWord() {
        let isOpen = state.withLock { state in
            state.told = nil
            return state.word.isOpen
        }
        bell(isOpen).ring()
    }

    /// Waits until clients are kept out in both places, or one of them has not taken it: then the other keeps them out, the
    /// host from now on and Postgres's own rules from its next start or reload on, and both are told again and again.
    func closed(within time: Duration) async {
        _ = try? await poll(for: time, every: .milliseconds(2)) { () -> Bool? in
            state.withLock { state in
                guard !state.word.isOpen else { return nil }
                return state.kept == state.word ? true : nil
            }
        }
    }

    /// Two threads, until it is over.
    func start(isOver: @escaping @Sendable () -> Bool) throws(SystemError) {
        try OwnThread.start("gate-open") { self.work(toOpen: true, isOver) }
        try OwnThread.start("gate-close") { self.work(toOpen: false, isOver) }
    }

    private func bell(_ isOpen: Bool) -> Bell { isOpen ? opening : closing }

    private func work(toOpen: Bool, _ isOver: () -> Bool) {
        while !isOver() {
            guard let word = due(toOpen) else {
                bell(toOpen).wait(within: Self.reassurance / 5)
                continue
            }
            if !tell(word) { bell(toOpen).wait(within: Self.pause) }
        }
    }

    /// The word that has to be said now, if it is one of this kind.
    private func due(_ isOpen: Bool) -> Word? {
        state.withLock { state in
            guard state.word.isOpen == isOpen else { return nil }
            guard let told = state.told, BootClock.now() - told.at <= Self.reassurance else { return state.word }
            return nil
        }
    }

    private func tell(_ word: Word) -> Bool {
        var failures: [String] = []
        do { try instance.admit() } catch { failures.append("\(error)") }
        // Clients come in by both places, so each of them keeps them out, whatever has become of the other.
        if failures.isEmpty || !word.isOpen {
            do { try link.setGate(isOpen: word.isOpen, sequence: word.number) } catch { failures.append("\(error)") }
        }
        let failure = failures.isEmpty ? nil : failures.joined(separator: "; ")
        // A host that does not know numbers may have taken this one after a later one.
        let isLast = state.withLock { state in
            state.told = failure == nil && state.word == word ? (word, BootClock.now()) : nil
            if !word.isOpen, failures.count < 2 { state.kept = word }
            return state.word == word
        }
        guard isLast else {
            bell(!word.isOpen).ring()
            return true
        }
        if let failure {
            logger.notice("the gate was not set", metadata: ["open": "\(word.isOpen)", "why": "\(failure)"])
        }
        answer(Answer(isOpen: word.isOpen, failure: failure))
        return failure == nil
    }

    /// The core hears each thing once.
    private func answer(_ answer: Answer) {
        let isNews = state.withLock { state in
            guard state.word.isOpen == answer.isOpen, state.answer != answer else { return false }
            state.answer = answer
            return true
        }
        if isNews { events.put(.gateAnswered(isOpen: answer.isOpen, failure: answer.failure)) }
    }
}

extension GateKeeper.Word {
    /// Greater than all before it, also those of an earlier process of this member on this host: by the computer's clock.
    fileprivate func next(_ isOpen: Bool) -> Self {
        Self(number: max(number + 1, UInt64(clamping: (BootClock.now() - .zero).milliseconds) * 1000), isOpen: isOpen)
    }
}
