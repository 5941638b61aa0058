import RoostModel
import Synchronization

/// From the task that feeds a watch to the one that reads it: bounded in number and bytes, so that a slow reader
/// holds back the connection instead of filling the memory.
final class WatchChannel: Sendable {
    private struct State {
        var events: [WatchEvent] = []
        var weight = 0
        var isClosed = false
        var reader: CheckedContinuation<WatchEvent?, Never>?
        var writer: CheckedContinuation<Void, Never>?

        var isFull: Bool { events.count >= WatchChannel.eventsMax || weight >= WatchChannel.weightMax }
    }

    private let state = Mutex(State())

    static let eventsMax = 64
    static let weightMax = 8 << 20

    /// Waits while the channel is full. One sender at a time.
    func send(_ event: WatchEvent) async {
        let reader = state.withLock { state -> CheckedContinuation<WatchEvent?, Never>? in
            guard !state.isClosed else { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            state.events.append(event)
            state.weight += event.weight
            return nil
        }
        if let reader { return reader.resume(returning: event) }
        await withCheckedContinuation { continuation in
            let mayGoOn = state.withLock { state in
                if state.isClosed || !state.isFull { return true }
                state.writer = continuation
                return false
            }
            if mayGoOn { continuation.resume() }
        }
    }

    /// - Returns: nil when the channel is closed, which a cancelled reader does itself.
    func next() async -> WatchEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enum Step {
                    case hand(WatchEvent?, CheckedContinuation<Void, Never>?)
                    case wait
                }
                let step = state.withLock { state -> Step in
                    if !state.events.isEmpty, !state.isClosed {
                        let event = state.events.removeFirst()
                        state.weight -= event.weight
                        guard !state.isFull else { return .hand(event, nil) }
                        defer { state.writer = nil }
                        return .hand(event, state.writer)
                    }
                    if state.isClosed { return .hand(nil, nil) }
                    state.reader = continuation
                    return .wait
                }
                if case .hand(let event, let writer) = step {
                    writer?.resume()
                    continuation.resume(returning: event)
                }
            }
        } onCancel: {
            close()
        }
    }

    func close() {
        let (reader, writer) = state.withLock { state in
            state.isClosed = true
            state.events = []
            defer { (state.reader, state.writer) = (nil, nil) }
            return (state.reader, state.writer)
        }
        reader?.resume(returning: nil)
        writer?.resume()
    }
}
