import RoostLinux
import Synchronization

/// A turnstile for each key, as long as anybody is at it: what concerns one machine does not overlap, machines do not
/// wait for each other.
final class Turnstiles<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        let turnstile = Turnstile()
        var users = 0
    }

    private let entries = Mutex<[Key: Entry]>([:])

    func pass<Result, Failure: Error>(
        _ key: Key, _ body: () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        let turnstile = entries.withLock { entries in
            var entry = entries[key] ?? Entry()
            entry.users += 1
            entries[key] = entry
            return entry.turnstile
        }
        defer {
            entries.withLock { entries in
                entries[key]?.users -= 1
                if entries[key]?.users == 0 { entries[key] = nil }
            }
        }
        return try await turnstile.pass(body)
    }
}
