public import RoostModel

/// A member's log against the cluster's history.
///
/// One epoch has one leader, and a leader only appends; so two logs whose last bytes come from one reign agree up to
/// the shorter end, and everything before that reign is equal too.
public enum Lineage: Hashable, Sendable {
    /// The log is a prefix of the history: it may follow.
    case prefix
    /// The log shares the history but goes on beyond the point where the next leader began.
    case beyond(LSN)
    /// The log has bytes of a reign the history does not know. Two forks may carry one Postgres timeline number, so
    /// nothing but a new copy is to be trusted.
    case foreign(Epoch)

    public init(chain: [Reign], end: LSN, history: [Reign]) {
        let contributed = chain.contributed(upTo: end)
        guard let last = contributed.last, let index = history.lastIndex(of: last) else {
            self = .foreign(contributed.last?.epoch ?? .none)
            return
        }
        for (own, common) in zip(contributed.reversed(), history[...index].reversed()) where own != common {
            self = .foreign(own.epoch)
            return
        }
        let next = index + 1
        self = next < history.count && end > history[next].begin ? .beyond(history[next].begin) : .prefix
    }
}

extension [Reign] {
    /// The reigns that bytes before `end` come from.
    public func contributed(upTo end: LSN) -> [Reign] {
        guard let first else { return [] }
        return [first] + dropFirst().filter { $0.begin < end }
    }

    /// A reign of which its own leader's log should have more than it has. When a leader was chosen its log ended where the
    /// reign begins, on its disk; whatever others have of the reign it had on its disk before; and a copy or what is left
    /// after a rewind is never shorter.
    ///
    /// - Returns: the reign, and how far the log must reach at least.
    func lost(by member: MemberName, end: LSN) -> (reign: Reign, end: LSN)? {
        for (index, reign) in enumerated() where reign.leader == member {
            let known = index + 1 < count ? self[index + 1].begin : reign.begin
            if known > end { return (reign, known) }
        }
        return nil
    }

    /// The position of a log with this chain and end: the epoch is that of its *last byte*, not of the leader it
    /// follows. A member that follows a new leader but received nothing from it is not ahead of anybody.
    public func position(at end: LSN) -> Position? {
        let last = dropFirst().last { $0.begin < end } ?? first
        return last.map { Position(epoch: $0.epoch, end: end) }
    }
    /// What a log whose last byte is here has of this history; nil where that byte is of a reign that the history does not
    /// have.
    func agreed(with position: Position) -> Position? {
        guard let index = firstIndex(where: { $0.epoch == position.epoch }) else { return nil }
        let next = index + 1
        return self.position(at: next < count ? Swift.min(position.end, self[next].begin) : position.end)
    }
}
