internal import RoostFailover

/// A Postgres as its supervisor and its peers meet it: a log, a mode, streams.
struct SimulatedPostgres {
    enum Mode: Equatable {
        case stopped
        /// A standby that follows nobody.
        case detached
        case following(leader: Int, epoch: UInt64)
        case primary(epoch: UInt64)
        /// A primary that lets nobody in any more and sends what it still has.
        case closing(epoch: UInt64)
        /// Promoted by hand.
        case stray
    }

    struct Peer {
        var isStreaming = false
        var flushed: UInt64 = 0
    }

    var mode = Mode.stopped
    var isHung: Bool { hungSince != nil }
    /// There is a data folder.
    var exists = false
    /// A rewind or clone was broken off in it.
    var isDamaged = false
    /// Its pages hold what its log has lost.
    var isTorn = false
    /// It starts with what is left of its log, and nothing that it writes is to be trusted.
    var isShort = false
    /// Since when it lives and answers nobody.
    var hungSince: Int?
    /// A whole copy lies beside it.
    var copy: SimulatedLog?
    /// What was there before lies aside.
    var hasAside = false
    /// The leader of this epoch no longer has the log it needs.
    var outgrownEpoch: UInt64?
    var log = SimulatedLog()
    /// A rewound folder is consistent once its log reaches this.
    var consistentAt: UInt64 = 0
    /// Grows with every start and stop: what was meant for an earlier life is void.
    var life = 0
    /// Of a primary: what its standbys acknowledged, in this life.
    var peers: [Peer] = []
    /// Of a primary: commits that wait for acknowledgements, by their end.
    var waiting: [UInt64] = []
    /// Of a primary: everything up to here is visible to whoever comes in.
    var visibleFrom: UInt64 = 0
    var stream: SimulatedStream?
    /// Of a primary: so many of these must acknowledge, as far as its supervisor is concerned.
    var quorum = SimulatedQuorum()
    /// Of a primary: none of its processes goes by anything but this, or by nobody; nil: nobody knows.
    var proven: SimulatedQuorum?
    /// Of a primary: what whoever reads now goes by.
    var written = SimulatedNames()
    /// Of a primary: the senders to each member, and the one that says whether commits wait at all.
    var processes: [SimulatedProcess] = []
    /// Of a primary: whether they do.
    var commitsWait = false
    /// Of a standby: what it was told of its leader's timeline before it met the leader.
    var fork: TimelineFork?

    var isRunning: Bool { mode != .stopped }
    var isConsistent: Bool { log.end >= consistentAt }

    var primaryEpoch: UInt64? {
        switch mode {
        case .primary(let epoch), .closing(let epoch): epoch
        case .stopped, .detached, .following, .stray: nil
        }
    }

    mutating func begin(_ next: Mode, members: Int) {
        life += 1
        mode = next
        hungSince = nil
        peers = Array(repeating: Peer(), count: members)
        waiting.removeAll(keepingCapacity: true)
        stream = nil
        visibleFrom = log.end
    }

    /// Another data folder takes the place of this one.
    mutating func replace(_ log: SimulatedLog, members: Int) {
        self.log = log
        exists = true
        isDamaged = false
        isTorn = false
        isShort = false
        consistentAt = 0
        outgrownEpoch = nil
        begin(.stopped, members: members)
    }
}

/// Whose acknowledgements a primary waits for, and who else may stream from it.
struct SimulatedQuorum: Equatable {
    var needed = 0
    var standbys: [Int] = []
    var guests: [Int] = []

    func admits(_ member: Int) -> Bool { standbys.contains(member) || guests.contains(member) }

    /// How it is written down: nobody is named when nobody is waited for.
    var names: SimulatedNames { needed > 0 ? SimulatedNames(needed: needed, standbys: standbys) : SimulatedNames() }
}

/// `synchronous_standby_names`: so many of these.
struct SimulatedNames: Equatable {
    var needed = 0
    var standbys: [Int] = []
}

/// A process of a primary.
struct SimulatedProcess {
    /// What it goes by.
    var names: SimulatedNames
    /// What it has read, and does not go by yet.
    var reading: SimulatedNames?
    /// Of the connection that it serves.
    var number = 0
}

/// A standby's connection to a leader.
struct SimulatedStream {
    var id: Int
    var leader: Int
    var leaderLife: Int
    var epoch: UInt64
    var sent: UInt64
    var isCarrying = false
    var retries = 0
}

/// An operation that a supervisor is carrying out.
struct SimulatedOperation {
    var id: OperationID
    var operation: PostgresOperation
    var token: Int
    var attempts = 0
    /// Of a change of who confirms: since when nobody is to confirm.
    var barrierSince: Int?
    /// It has to be shown that commits wait at all.
    var provesWaiting = false
}
