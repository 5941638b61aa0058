internal import RoostFailover
import RoostModel

/// One member's machine: the core in its shell, the durable file, Postgres, and how ill it is.
struct SimulatedMember {
    let name: MemberName
    var core: FailoverMember?
    /// The file. Lost only with the disk.
    var durable = DurableState()
    var postgres = SimulatedPostgres()
    var operation: SimulatedOperation?
    /// Grows with every start of the machine.
    var life = 0
    var lastOperation = OperationID.none
    var gateIsOpen = false
    /// The supervisor stands still until then; what came meanwhile waits in the inbox.
    var supervisorFrozenUntil = 0
    /// The whole machine stands still until then.
    var frozenUntil = 0
    var inbox: [FailoverEvent] = []
    /// Added to the simulation's time to give the member's own.
    var clockAhead = 0
    var slowness = 1
    /// The wake-up that is under way.
    var wakeAt = Int.max
    var watchIsPending = false
    var watchIsDirty = false
    var watchDelayedUntil = 0
    /// Dies after carrying out this many more of its core's actions.
    var actionsToLive: Int?

    var fullUntil = 0
    var noRoomUntil = 0
    /// Postgres is not up before then, whoever starts it.
    var recoversUntil = 0
    /// So many samples in a row of a Postgres promoted by hand, with the gate open.
    var straySamples = 0
    /// Since when readers are let in to a standby without a stream.
    var standsStillSince: Int?

    var isUp: Bool { core != nil }
}
