import Synchronization

/// A kind of change that can be merged: past a bound, many are one that says "anything".
public protocol FeedChange: Hashable, Sendable {
    static var all: Self { get }
}

/// Tells listeners what changed. A slow listener gets everything that changed since it last looked, in one set; when
/// that is more than ``changesMax``, it is told to look at everything.
public final class ChangeFeed<Change: FeedChange>: Sendable {
    /// Changes that one listener can have waiting.
    static var changesMax: Int { 4096 }

    private final class Listener: Sendable {
        let wants: @Sendable (Change) -> Bool
        let pending = Mutex<Set<Change>>([])
        let signal: AsyncStream<Void>.Continuation

        init(_ wants: @escaping @Sendable (Change) -> Bool, _ signal: AsyncStream<Void>.Continuation) {
            self.wants = wants
            self.signal = signal
        }

        func add(_ changes: Set<Change>) {
            let wanted = changes.filter(wants)
            guard !wanted.isEmpty else { return }
            pending.withLock { pending in
                pending.formUnion(wanted)
                if pending.count > ChangeFeed.changesMax { pending = [.all] }
            }
            signal.yield()
        }
    }

    private struct State {
        var next = 0
        var listeners: [Int: Listener] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    public func send(_ changes: Set<Change>) {
        guard !changes.isEmpty else { return }
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.add(changes) }
    }

    /// From now on, every change that is wanted. ``FeedChange/all`` should always be.
    public func subscribe(to wants: @escaping @Sendable (Change) -> Bool = { _ in true }) -> Subscription {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let listener = Listener(wants, continuation)
        let id = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = listener
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.listeners[id] = nil }
        }
        return stream.map { _ in
            listener.pending.withLock { pending in
                defer { pending = [] }
                return pending
            }
        }
    }

    /// Sets of changes, now and then an empty one; ends with its task.
    public typealias Subscription = AsyncMapSequence<AsyncStream<Void>, Set<Change>>
}

/// What changed in a host's copy of the planet.
public typealias PlanetFeed = ChangeFeed<PlanetChange>
