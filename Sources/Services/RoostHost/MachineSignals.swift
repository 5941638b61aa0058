import RoostModel
import Synchronization

/// Tells those who wait for one machine that its row has changed. Level-triggered: whoever is told looks at the row.
final class MachineSignals: Sendable {
    private struct State {
        var next: UInt64 = 0
        var listeners: [MachineID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
    }

    private let state = Mutex(State())

    func send(_ machine: MachineID) {
        let listeners = state.withLock { $0.listeners[machine].map { Array($0.values) } ?? [] }
        for listener in listeners { listener.yield() }
    }

    /// Subscribe first, then look: what changes in between is not missed.
    func subscribe(to machine: MachineID) -> AsyncStream<Void> {
        let (stream, listener) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            state.next += 1
            state.listeners[machine, default: [:]][state.next] = listener
            return state.next
        }
        listener.onTermination = { [weak self] _ in
            self?.state.withLock { state in
                state.listeners[machine]?[id] = nil
                if state.listeners[machine]?.isEmpty == true { state.listeners[machine] = nil }
            }
        }
        return stream
    }
}
