import Synchronization

/// Whether somebody wants long work to come to its end.
final class EarlyEnd: Sendable {
    private let state = Mutex(false)

    var isAsked: Bool { state.withLock { $0 } }

    func ask() { state.withLock { $0 = true } }
}
