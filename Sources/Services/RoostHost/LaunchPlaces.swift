import Synchronization

/// Bounds how many launches are worked on at once, so that a host that boots with hundreds of machines starts some after
/// the other instead of all of them too slowly.
///
/// Whoever needs much longer than a launch needs is waiting for an image to come over the network. That costs the host
/// little, and nobody else waits for it: the place is given to the next.
final class LaunchPlaces: Sendable {
    static let launchesAtOnceMax = 16
    static let keptMax = Duration.seconds(10)

    private struct State {
        var free = launchesAtOnceMax
        var next: UInt64 = 0
        /// In turn; each is resumed once, with whether it has a place now.
        var waiting: [(number: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    private let state = Mutex(State())

    /// - Throws: what the body throws; `CancellationError` when cancelled before there was a place.
    func withPlace<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        guard await takePlace() else { throw CancellationError() }
        let place = Place(places: self)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            defer {
                group.cancelAll()
                place.giveBack()
            }
            group.addTask { try await body() }
            group.addTask {
                try? await Task.sleep(for: Self.keptMax)
                place.giveBack()
                return nil
            }
            while let value = try await group.next() {
                if let value { return value }
            }
            throw CancellationError()
        }
    }

    private func takePlace() async -> Bool {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if Task.isCancelled { return false }
                    guard state.free == 0 else {
                        state.free -= 1
                        return true
                    }
                    state.waiting.append((number, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return nil }
                return state.waiting.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
    }

    fileprivate func freePlace() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }

    private final class Place: Sendable {
        let places: LaunchPlaces
        let isGivenBack = Mutex(false)

        init(places: LaunchPlaces) { self.places = places }

        func giveBack() {
            let wasHeld = isGivenBack.withLock { isGivenBack in
                defer { isGivenBack = true }
                return !isGivenBack
            }
            if wasHeld { places.freePlace() }
        }
    }
}
