import RoostModel
import Synchronization

/// Which endpoint to ask: the one that worked last, then the others in order.
final class EtcdEndpoints: Sendable {
    typealias Index = Int

    let urls: [String]

    private struct State {
        var preferred: Index = 0
        /// When each last answered with a quorum behind it.
        var heard: [Moment?]
        /// Those that somebody was not answered by since: whether they still answer is to be asked.
        var doubted: Set<Index> = []
        /// When each was last asked only for that.
        var pulsed: [Moment?]
    }

    private let state: Mutex<State>

    init(_ urls: [String]) {
        precondition(!urls.isEmpty, "an etcd store needs an endpoint")
        self.urls = urls.map { url in
            var url = url
            while url.hasSuffix("/") { url.removeLast() }
            return url
        }
        let none = [Moment?](repeating: nil, count: urls.count)
        state = Mutex(State(heard: none, pulsed: none))
    }

    var preferred: Index { state.withLock { $0.preferred } }

    var order: [Index] {
        let first = preferred
        return urls.indices.map { (first + $0) % urls.count }
    }

    func heard(_ endpoint: Index, now: Moment) {
        state.withLock { state in
            state.heard[endpoint] = now
            state.doubted.remove(endpoint)
        }
    }

    /// What one stream or request met says nothing of the time before: others that rely on the endpoint go on by this.
    func lastHeard(_ endpoint: Index) -> Moment? {
        state.withLock { $0.heard[endpoint] }
    }

    /// The one that is asked first has answered within the time, and nobody has doubted it since.
    func isFresh(within time: Duration, now: Moment) -> Bool {
        state.withLock { state in
            guard let heard = state.heard[state.preferred], !state.doubted.contains(state.preferred) else {
                return false
            }
            return now - heard < time
        }
    }

    func prefer(_ endpoint: Index) {
        state.withLock { $0.preferred = endpoint }
    }

    /// Whoever relies on it next starts with another.
    func failed(_ endpoint: Index) {
        state.withLock { state in
            state.doubted.insert(endpoint)
            if state.preferred == endpoint { state.preferred = (endpoint + 1) % urls.count }
        }
    }

    /// Whether the caller is to ask for the endpoint's pulse: nobody heard or asked it within the interval, or
    /// it is in doubt and nobody asked it.
    func claimPulse(_ endpoint: Index, every interval: Duration, now: Moment) -> Bool {
        state.withLock { state in
            let heard = state.doubted.contains(endpoint) ? nil : state.heard[endpoint]
            for last in [heard, state.pulsed[endpoint]] {
                if let last, now - last < interval { return false }
            }
            state.pulsed[endpoint] = now
            return true
        }
    }
}
