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
        state.withLock { $0.heard[endpoint] = now }
    }

    func lastHeard(_ endpoint: Index) -> Moment? {
        state.withLock { $0.heard[endpoint] }
    }

    func prefer(_ endpoint: Index) {
        state.withLock { $0.preferred = endpoint }
    }

    /// Whoever relies on it next starts with another.
    func failed(_ endpoint: Index) {
        state.withLock { state in
            state.heard[endpoint] = nil
            if state.preferred == endpoint { state.preferred = (endpoint + 1) % urls.count }
        }
    }

    /// Whether the caller is to ask for the endpoint's pulse: nobody heard or asked it within the interval.
    func claimPulse(_ endpoint: Index, every interval: Duration, now: Moment) -> Bool {
        state.withLock { state in
            for last in [state.heard[endpoint], state.pulsed[endpoint]] {
                if let last, now - last < interval { return false }
            }
            state.pulsed[endpoint] = now
            return true
        }
    }
}
