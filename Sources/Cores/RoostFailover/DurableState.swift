public import RoostModel

/// What a member must still know after a crash. Written by ``FailoverAction/save(_:)``, read once at start.
/// It lies beside the data folder on the member's volume: lost together or not at all.
public struct DurableState: Hashable, Sendable, Codable {
    /// The member never again follows, leads or acknowledges for an epoch below this one.
    public var promised: Epoch
    /// The reigns from which the member's log may contain bytes, oldest first. A reign is added *before* the first
    /// byte of it can arrive; one that begins at or after the end of the log has contributed nothing.
    public var chain: [Reign]
    public var data: DataState
    /// The highest epoch in which this member's promotion (or initdb) is known to have ended.
    public var led: Epoch

    public init(
        promised: Epoch = .none, chain: [Reign] = [], data: DataState = .empty, led: Epoch = .none
    ) {
        self.promised = promised
        self.chain = chain
        self.data = data
        self.led = led
    }
}

/// What the data folder is worth.
public enum DataState: String, Hashable, Sendable, Codable {
    /// Nothing there that counts (an initdb that did not end leaves this too). Becomes `usable` or `cloning`.
    case empty
    /// Being replaced by a copy of the leader's. After a crash: clone again. Becomes `usable`.
    case cloning
    /// Being taken back to the leader's history, or taken back but not yet consistent. After a crash: clone.
    /// Becomes `usable` or `cloning`.
    case rewinding
    /// A prefix of `chain`. Becomes `cloning` or `rewinding` when the rule's history went another way.
    case usable
}
