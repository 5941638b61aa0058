import AsyncHTTPClient
import Logging
import NIOCore
import RoostLinux
import RoostModel
import Synchronization

/// One watch's life: a listing if there must be one, then a stream of changes, then again from where it broke off.
struct EtcdWatch: Sendable {
    let transport: EtcdTransport
    let range: KeyRange
    let notice: WatchNotice
    let logger: Logger
    let channel = WatchChannel()
    private let progress: WatchProgress

    init(
        transport: EtcdTransport, range: KeyRange, from revision: Revision?, notice: WatchNotice, logger: Logger
    ) {
        self.transport = transport
        self.range = range
        self.notice = notice
        self.logger = logger
        // etcd takes zero for "from now on"; here it is before everything.
        progress = WatchProgress(
            next: revision.flatMap { $0.number > 0 ? $0 : nil }, of: transport.history.present)
    }

    /// Until cancelled.
    func run() async {
        var delay = transport.timing.retryFirst
        var isFirst = true
        while !Task.isCancelled {
            let isAgain = !isFirst
            var isAnswered = isFirst
            do {
                if isAgain { try await transport.waitForAnswer() }
                (isFirst, isAnswered) = (false, true)
                let endpoint = try await position(isAgain: isAgain)
                try await follow(at: endpoint)
                delay = transport.timing.retryFirst
            } catch {
                guard !Task.isCancelled else { break }
                logger.debug("watch of \(range.text) is interrupted", metadata: ["cause": "\(error)"])
                // Two stores that answer in turn make no watch begin anew without a pause.
                if progress.takeWasConnected(), isOfPresent { delay = transport.timing.retryFirst }
                if progress.interrupt() { await channel.send(.interrupted) }
                // Where nobody answers, the pause is one for all watches.
                guard isAnswered else { continue }
                // Spread, so that not all watches of all hosts come back in the same moment.
                try? await Task.sleep(for: delay * Double.random(in: 0.5...1))
                delay = min(delay * 2, transport.timing.retryLast)
            }
        }
        channel.close()
    }

    /// What it has brought so far is of the history that the store's answers tell of.
    private var isOfPresent: Bool { progress.history == transport.history.present }

    private func checkHistory() throws(EtcdFailure) {
        guard isOfPresent else { throw .unclear("the store has gone back") }
    }

    /// Makes sure that there is a revision to go on from.
    ///
    /// - Parameter isAgain: the store is known to answer. The first time it may be about to choose its leader, and what is
    ///   asked before that is soonest answered by asking again.
    /// - Returns: an endpoint that has just answered with a quorum behind it.
    private func position(isAgain: Bool) async throws(EtcdFailure) -> EtcdEndpoints.Index {
        let history = transport.history.present
        if progress.history != history { progress.voided() }
        if progress.next == nil {
            try range.checkForWatch()
            let timing = transport.timing
            let listing = try await transport.list(
                range, within: isAgain ? timing.listing : timing.request,
                hedge: isAgain ? timing.listingHedge : timing.hedge)
            // If that answer was the first of another history, it is listed once more.
            progress.listed(at: listing.revision, of: history)
            await channel.send(.listing(listing))
        } else {
            try await transport.waitForAnswer()
        }
        return transport.endpoints.preferred
    }

    /// Reads the stream for as long as the endpoint shows its pulse.
    private func follow(at endpoint: EtcdEndpoints.Index) async throws(EtcdFailure) {
        progress.opening()
        let result = await withTaskGroup(of: Result<Void, EtcdFailure>.self) { group in
            group.addTask { await outcome { () throws(EtcdFailure) in try await read(at: endpoint) } }
            group.addTask { await outcome { () throws(EtcdFailure) in try await guardPulse(of: endpoint) } }
            defer { group.cancelAll() }
            return await group.next() ?? .success(())
        }
        if case .failure = result, !Task.isCancelled { transport.endpoints.failed(endpoint) }
        try result.get()
    }

    /// - Returns: when the wanted revision is compacted away; everything else is a failure.
    private func read(at endpoint: EtcdEndpoints.Index) async throws(EtcdFailure) {
        guard let from = progress.next else { return }
        let request = try EtcdTransport.encode(EtcdWatchRequest(range, from: from))
        let body = try await transport.open("watch", request, to: endpoint)
        var lines = WatchLines()
        var assembly = WatchAssembly()
        do {
            for try await chunk in body {
                lines.append(chunk)
                while let line = try lines.next() {
                    guard try await handle(line, in: &assembly) else { return }
                }
            }
        } catch {
            throw error as? EtcdFailure ?? .unclear("\(transport.endpoints.urls[endpoint]): \(EtcdWords.of(error))")
        }
        throw .unclear("\(transport.endpoints.urls[endpoint]) ended the watch")
    }

    /// - Returns: false when the wanted revision is compacted away.
    private func handle(_ line: ByteBuffer, in assembly: inout WatchAssembly) async throws(EtcdFailure) -> Bool {
        let streamed: EtcdStreamed<EtcdWatchAnswer> = try EtcdTransport.decode(line)
        guard let answer = streamed.result else { throw EtcdFailure(streamed.error) }
        switch try assembly.receive(answer) {
        case .created:
            if let last = progress.connected() { await channel.send(.changes([], revision: last)) }
        case .events(let revisions):
            if !revisions.isEmpty { try checkHistory() }
            for (revision, changes) in revisions where progress.advance(past: revision) {
                await channel.send(.changes(changes, revision: revision))
            }
        case .compacted:
            progress.voided()
            return false
        }
        return true
    }

    /// The stream says nothing while nothing changes, so a linearizable read now and then shows that the endpoint
    /// is neither frozen nor cut off from its quorum.
    private func guardPulse(of endpoint: EtcdEndpoints.Index) async throws(EtcdFailure) {
        let pulse = transport.timing.pulse(notice)
        let opened = BootClock.now()
        let question = try EtcdTransport.encode(EtcdRange.pulse)
        while !Task.isCancelled {
            try checkHistory()
            let now = BootClock.now()
            if transport.endpoints.claimPulse(endpoint, every: pulse.interval, now: now) {
                // No longer than it may be silent in all.
                let silent = now - max(transport.endpoints.lastHeard(endpoint) ?? opened, opened)
                let left = max(pulse.silence - silent, pulse.interval)
                let mark = transport.history.mark
                if case .success(let bytes) = await transport.post("kv/range", question, to: endpoint, within: left) {
                    try transport.notePulse(bytes, since: mark)
                }
            }
            let heard = transport.endpoints.lastHeard(endpoint) ?? opened
            guard BootClock.now() - max(heard, opened) < pulse.silence else {
                throw .unclear("\(transport.endpoints.urls[endpoint]) was silent for \(pulse.silence.words)")
            }
            guard progress.isConnected || BootClock.now() - opened < pulse.opening else {
                throw .unclear("\(transport.endpoints.urls[endpoint]) did not begin the watch")
            }
            try? await Task.sleep(for: pulse.interval / 2)
        }
    }
}

extension EtcdTransport {
    /// The endpoint that is asked first has answered so lately that there is no need to ask whether it does.
    var isFresh: Bool { endpoints.isFresh(within: timing.soon.interval, now: BootClock.now()) }

    /// Until an endpoint with a quorum behind it has answered, which then is asked first.
    func waitForAnswer() async throws(EtcdFailure) {
        guard !isFresh else { return }
        let question = try Self.encode(EtcdRange.pulse)
        try await knock.answer {
            await outcome { () throws(EtcdFailure) in
                let mark = self.history.mark
                try self.notePulse(try await self.askAny("kv/range", question).answer, since: mark)
            }
        }
        .get()
    }

    fileprivate func notePulse(_ bytes: ByteBuffer, since mark: EtcdHistory.Mark) throws(EtcdFailure) {
        let answer: EtcdRangeAnswer = try Self.decode(bytes)
        history.note(answer.header, since: mark)
    }
}

private func outcome<Value: Sendable>(
    _ work: () async throws(EtcdFailure) -> Value
) async -> Result<Value, EtcdFailure> {
    do {
        return .success(try await work())
    } catch {
        return .failure(error)
    }
}

extension KeyRange {
    fileprivate func checkForWatch() throws(EtcdFailure) {
        do {
            try check(for: "watch")
        } catch {
            throw .refused(error.code, error.cause)
        }
    }
}

/// How far a watch is. Only the watch's own tasks touch it.
private final class WatchProgress: Sendable {
    private struct State {
        /// The next revision to ask for; nil: a listing is wanted.
        var next: Revision?
        /// Which history that is a revision of.
        var history: EtcdHistory.Number
        var isInterrupted = false
        /// The present stream has begun.
        var isConnected = false
    }

    private let state: Mutex<State>

    init(next: Revision?, of history: EtcdHistory.Number) { state = Mutex(State(next: next, history: history)) }

    var history: EtcdHistory.Number { state.withLock { $0.history } }
    var next: Revision? { state.withLock { $0.next } }
    var isConnected: Bool { state.withLock { $0.isConnected } }

    func opening() { state.withLock { $0.isConnected = false } }

    /// - Returns: the last revision seen, when the reader was told of an interruption and must hear that it is over.
    func connected() -> Revision? {
        state.withLock { state in
            state.isConnected = true
            guard state.isInterrupted, let next = state.next else { return nil }
            state.isInterrupted = false
            return Revision(next.number - 1)
        }
    }

    func takeWasConnected() -> Bool {
        state.withLock { state in
            defer { state.isConnected = false }
            return state.isConnected
        }
    }

    func listed(at revision: Revision, of history: EtcdHistory.Number) {
        state.withLock { state in
            state.history = history
            state.next = Revision(revision.number + 1)
            state.isInterrupted = false
        }
    }

    func voided() { state.withLock { $0.next = nil } }

    /// - Returns: false when the revision was seen before.
    func advance(past revision: Revision) -> Bool {
        state.withLock { state in
            guard let next = state.next, revision >= next else { return false }
            state.next = Revision(revision.number + 1)
            return true
        }
    }

    /// - Returns: true when the reader does not know of it yet.
    func interrupt() -> Bool {
        state.withLock { state in
            defer { state.isInterrupted = true }
            return !state.isInterrupted
        }
    }
}

/// Runs a watch for as long as somebody holds its stream.
final class EtcdWatchFeed: Sendable {
    let channel: WatchChannel
    // The one place without a parent: an AsyncStream has no task of its own, and the stream must go on between
    // two reads. It ends with the stream.
    private let task: Task<Void, Never>

    init(_ watch: EtcdWatch) {
        channel = watch.channel
        task = Task { await watch.run() }
    }

    deinit {
        task.cancel()
        channel.close()
    }
}
