import Logging
import RoostModel
import Synchronization

/// Which history the store's answers tell of. A store that was restored from a copy begins another one: what was read
/// before may never have been, and a watch that waits for a revision of the former one would wait in vain, or begin in
/// the middle.
///
/// Every answer names etcd's cluster and its revision (etcd 3.4, `rpc.proto`, `ResponseHeader`). A restore under another
/// token makes another cluster. One under the same token does not, but its revision is lower, as long as it has not
/// caught up: and a linearizable answer is never of a lower revision than one that was there before it was asked for.
/// The term in an answer proves nothing: a restored etcd begins with the term that a new one begins with (tried with 3.4.23).
final class EtcdHistory: Sendable {
    /// Grows by one with each history that begins.
    struct Number: Hashable, Sendable {
        fileprivate(set) var number: UInt64 = 0
    }

    /// What was known when a question was asked.
    struct Mark: Sendable {
        fileprivate var history: Number
        fileprivate var revision: Revision
    }

    private struct State {
        var history = Number()
        var cluster: UInt64?
        var revision = Revision.absent
    }

    private let state = Mutex(State())
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    var present: Number { state.withLock { $0.history } }

    /// Before a question is asked.
    var mark: Mark { state.withLock { Mark(history: $0.history, revision: $0.revision) } }

    /// - Parameters:
    ///   - header: of an answer with a quorum behind it.
    ///   - mark: from before it was asked for.
    func note(_ header: EtcdHeader, since mark: Mark) {
        guard let number = header.revision?.number, number > 0 else { return }
        let (revision, cluster) = (Revision(number), header.cluster_id?.number)
        let reason = state.withLock { state -> String? in
            // Asked before somebody else saw that another one has begun: nobody knows which one it tells of.
            guard mark.history == state.history else { return nil }
            let isOther = state.cluster != nil && cluster != nil && cluster != state.cluster
            guard isOther || revision < mark.revision else {
                state.cluster = cluster ?? state.cluster
                state.revision = max(state.revision, revision)
                return nil
            }
            state.history.number += 1
            let before = state.revision
            (state.cluster, state.revision) = (cluster ?? state.cluster, revision)
            return isOther
                ? "another cluster of etcd answers, at revision \(revision)"
                : "it is at revision \(revision), and was at \(before)"
        }
        guard let reason else { return }
        logger.warning("the store has gone back; all that is followed is read anew", metadata: ["why": "\(reason)"])
    }
}
