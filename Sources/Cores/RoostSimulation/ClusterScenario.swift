package import RoostFailover

/// What a simulated cluster goes through. Everything else follows from the seed.
public struct ClusterScenario: Sendable, CustomStringConvertible {
    public enum Fault: String, Sendable, CaseIterable {
        /// A machine dies: process, Postgres and what was not on disk.
        case crashMember
        /// Only Postgres dies.
        case crashPostgres
        /// The supervisor stands still, its Postgres lives on and acknowledges replication.
        case freezeSupervisor
        /// The whole machine stands still, then goes on.
        case freezeMember
        /// A member cannot reach another, or the store, in one direction.
        case cutOneWay
        /// A member cannot reach another, or the store, in both directions.
        case cutBothWays
        /// A member is cut off from everything.
        case isolate
        /// All that a member does and sends takes much longer.
        case slowMember
        /// A member's disk takes no writes and fails none, for a while.
        case volumeHangs
        /// A member's Postgres lives and answers nothing any more, until somebody ends it.
        case hangPostgres
        /// All members are slow, in all that they and their Postgres do.
        case load
        /// A member's beats reach nobody, or nobody's reach it, or both; all else does.
        case loseBeats
        /// Recruitments do not reach the store, and nobody says so.
        case loseCalls
        /// Members die between any two things that they do when they are called directly, or call.
        case crashWhenCalled
        /// The store answers nobody.
        case storeOutage
        /// Changes are made although the answer is lost, or made late.
        case storeUnclear
        /// The store's watch shows an old state for a while.
        case staleWatch
        /// A member's clock jumps forward.
        case clockJump
        /// A member loses its disk and comes back empty.
        case loseDisk
        /// Everything dies and comes back at its own pace.
        case powerLoss
        /// The member dies in the middle of carrying out the core's actions.
        case crashBetweenActions
        /// Postgres operations fail.
        case operationFails
        /// Somebody asks for a switchover.
        case switchover
        /// A member's machine is stopped properly and started again.
        case restartMember
        /// Somebody promotes a standby by hand and writes on it.
        case promoteByHand
        /// A member's volume is full: its Postgres ends, does not start again, and there is no room for a copy.
        case fullVolume
        /// There is no room for a copy beside the data.
        case noRoom
        /// The leader no longer has the log that a standby needs.
        case fallBehind
        /// The store is restored from an older copy.
        case storeGoesBack
        /// The leader dies, and its disk has not what it said it had: the log ends before the leader's reign begins.
        case tornLog
        /// The leader dies, and its disk has not what it said it had: the end of what the leader itself wrote is missing.
        case lostTail
        /// A member's volume takes no writes, until its machine starts anew.
        case volumeFails
        /// A member's Postgres dies, and takes very long to recover.
        case slowRecovery
        /// Somebody pauses the cluster, and does not come back.
        case pause
        /// Somebody ends the pause.
        case resume
        /// Somebody asks that members be started anew, and that the leader hand over.
        case restartAll
        /// The same, and the leader stays in office.
        case restartInOffice
        /// Somebody asks that a member come, with an empty disk.
        case addMember
        /// Somebody asks that a member go.
        case removeMember
        /// Somebody asks for both, or for several of each.
        case replaceMember
        /// A leader's supervisor stands still, or its machine dies, in the moment in which the store has its next step of
        /// that.
        case stallAtChange
        /// Somebody takes back what is left of it.
        case cancelChange
    }

    /// Wrong ways of the world around the core, for tests that show that the simulation notices them.
    public enum Breach: Sendable {
        /// A leader takes acknowledgements from streams of any epoch.
        case ignoresStreamNames
        /// Postgres takes what was written last, whatever came of it, for what its processes go by.
        case provesByWhatWasWritten
        /// While who confirms changes, a stream counts that is to confirm no more.
        case countsLeavers
    }

    /// A fault at a set time, on whoever leads then, or on the first of those that do not.
    public struct Scripted: Sendable {
        public var fault: Fault
        public var atSeconds: Int
        public var forSeconds: Int
        public var isOnStandby: Bool

        public init(_ fault: Fault, atSeconds: Int, forSeconds: Int, isOnStandby: Bool = false) {
            self.fault = fault
            self.atSeconds = atSeconds
            self.forSeconds = forSeconds
            self.isOnStandby = isOnStandby
        }
    }

    /// Too few members are left. The others die for good or for a while, or are cut off: alone, or together, so that their leader
    /// may go on for a while with clients of its own.
    public struct Forcing: Sendable {
        public var atSeconds: Int
        public var left: Int
        /// The person names any of those that are left, and not the best.
        public var namesAny: Bool

        public init(atSeconds: Int, left: Int = 1, namesAny: Bool = false) {
            self.atSeconds = atSeconds
            self.left = left
            self.namesAny = namesAny
        }
    }

    public var seed: UInt64
    public var members: Int
    /// What may happen at random times, to anybody.
    public var faults: [Fault]
    public var script: [Scripted]
    /// Faults happen until then.
    public var chaosSeconds: Int
    /// After everything is healed, an open primary must be there in this time…
    public var primaryWithinSeconds: Int
    /// …and every member must stream in this.
    public var wholeWithinSeconds: Int
    public var breach: Breach?
    /// What members report, and by whose promises leaders are chosen, is looked at by itself; else only what it leads to.
    public var checksReports: Bool
    /// Then all members but ``Forcing/left`` are lost at once, and a person decides who leads, as soon as that can be decided.
    public var forcing: Forcing?
    /// So many members, the last ones, have a program of before there were calls in beats, or of before there were beats; nil:
    /// in some runs some, by the seed.
    public var olderMembers: Int?
    /// Members and their hosts know a rule by which more than half of them decide; nil: in every other run, by the seed.
    public var knowsMajority: Bool?

    public init(
        seed: UInt64, members: Int, faults: [Fault] = Fault.allCases, script: [Scripted] = [],
        chaosSeconds: Int = 20,
        primaryWithinSeconds: Int = 45, wholeWithinSeconds: Int = 90, breach: Breach? = nil,
        checksReports: Bool = true, olderMembers: Int? = nil, forcing: Forcing? = nil,
        knowsMajority: Bool? = nil
    ) {
        self.seed = seed
        self.members = members
        self.faults = faults
        self.script = script
        self.chaosSeconds = chaosSeconds
        self.primaryWithinSeconds = primaryWithinSeconds
        self.wholeWithinSeconds = wholeWithinSeconds
        self.breach = breach
        self.checksReports = checksReports
        self.olderMembers = olderMembers
        self.forcing = forcing
        self.knowsMajority = knowsMajority
    }

    public var description: String {
        "seed \(seed), \(members) members, faults \(faults.map(\.rawValue).joined(separator: ","))"
    }
}

/// A rule of safety or liveness that a run broke.
public struct Violation: Error, Sendable, CustomStringConvertible {
    public var what: String
    public var atSeconds: Double

    public var description: String { "after \(atSeconds) s: \(what)" }
}

/// What one run came to.
public struct ClusterRun: Sendable, CustomStringConvertible {
    public var scenario: ClusterScenario
    public var violation: Violation?
    public var epochs: UInt64
    public var confirmed: Int
    /// The longest time between two confirmed commits, from the first to the healing.
    public var longestGapSeconds: Double
    public var events: Int
    /// So many members at once had stopped their Postgres to start it anew.
    public var restartingAtOnce: Int
    /// Those that were started anew as somebody had asked.
    public var restarted: Int
    /// So often a rule followed from what the members of a cluster said whose store had gone back.
    public var recoveries: Int
    /// So often nothing followed from it.
    public var recoveriesRefused: Int
    /// From when all but a few were lost until a person had decided who leads; nil: that was not.
    public var secondsToForce: Double?
    /// From then until a commit was confirmed.
    public var secondsToWrite: Double?
    /// That decision took back something that was confirmed or shown.
    public var hasLost: Bool
    /// So often a member has come or gone.
    public var changes: UInt64
    /// The rule says that more than half of the members decide.
    public var isMarked: Bool
    /// From healing until an open primary; nil when the run was broken off before.
    public var secondsToPrimary: Double?
    /// From healing until every member streamed and had the same log.
    public var secondsToWhole: Double?
    /// Filled when the run was asked to keep it.
    public var trace: [String]
    /// The changes of phase that members went through.
    package var steps: Set<PhaseStep>

    public var description: String {
        "\(scenario)\n\(violation.map { "\($0)" } ?? "no violation"), epoch \(epochs), "
            + "\(confirmed) confirmed commits, \(events) events\n" + trace.joined(separator: "\n")
    }
}
