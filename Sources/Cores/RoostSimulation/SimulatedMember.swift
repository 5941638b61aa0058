internal import RoostFailover
import RoostModel

/// What a member's process decides. It is never copied: it is large, and looked at all the time.
final class SimulatedCore {
    var member: FailoverMember

    init(_ member: FailoverMember) { self.member = member }
}

/// One member's machine: the core in its shell, the durable file, Postgres, and how ill it is.
final class SimulatedMember {
    let name: MemberName
    /// Of its process, for as long as that runs.
    var core: SimulatedCore?
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
    /// Its disk takes no writes from then…
    var volumeHangsSince = 0
    /// …until then.
    var volumeHangsUntil = 0
    /// What its supervisor was told to do, and waits for the disk to do.
    var deferred: [FailoverAction] = []
    /// Its Postgres has hung once.
    var hasHung = false
    var noRoomUntil = 0
    /// Postgres is not up before then, whoever starts it.
    var recoversUntil = 0
    /// So many samples in a row of a Postgres promoted by hand, with the gate open.
    var straySamples = 0
    /// Since when readers are let in to a standby without a stream.
    var standsStillSince: Int?
    /// Its machine was made, and not yet destroyed. One that is not is no place of the cluster.
    var isMade = true
    /// Something befalls its supervisor when its next change of who is a member is in the store.
    var stallsAtChange = 0

    /// Its program is of a version that knows beats…
    var knowsBeats = true
    /// …and calls and answers in them.
    var knowsCalls = true
    /// …and says what it has heard.
    var saysHeard = true
    /// Its host takes the word of others for a lease, and keeps for a member that starts what it has heard last.
    var hostTakesWord = true
    /// With its host, it knows how more than half of the members decide.
    var knowsMajority = true
    /// What its host has heard last of the store.
    var hostView: StoreView?
    /// When its process has sent what.
    var beatTimes = BeatTimes(of: 0)
    /// Of its process, as its datagrams have it.
    var beatLife: UInt64 = 0
    /// In this life.
    var beatsSent: UInt64 = 0
    /// When each member spoke last that it has heard, having promised which epoch.
    var words: [Int: [Epoch: Int]] = [:]
    /// What its process knows of each member's datagrams.
    var acquaintances: [BeatAcquaintance] = []
    /// Dies after so many actions from when it is called directly, or calls.
    var actionsToLiveOnceCalled: Int?
    /// The highest epoch that was ever on its disk as promised, also on a disk that it has lost.
    var everPromised = Epoch.none
    /// For whom it has ever voted, by epoch, also on a disk that it has lost.
    var everVoted: [Epoch: MemberName] = [:]
    /// The latest members that were ever on its disk, by how often they had changed.
    var everWritten: UInt64 = 0

    /// When its machine was started last.
    var startedAt = 0
    /// When it was first told that a person has given it up.
    var toldGivenUpAt: Int?
    /// When the store last had a report of it.
    var reportedAt: Int?

    init(name: MemberName) { self.name = name }

    var isUp: Bool { core != nil }

    /// What it would say when it is heard.
    func account(of rule: ClusterRule) -> MemberReport {
        let knows =
            durable.reignLost(by: rule) != nil || durable.promised > (rule.recruitment?.epoch ?? rule.epoch)
            || durable.membership?.changes ?? 0 > rule.changes ?? 0
        let knowledge = MemberKnowledge(
            opened: durable.opened, history: durable.chain, timeline: durable.timeline, position: nil,
            membership: durable.membership)
        let position = durable.data == .usable ? Position(epoch: .first, end: .zero) : nil
        return MemberReport(
            member: name, role: .standby, state: knows ? .failed : .waiting, promised: durable.promised,
            position: position,
            timeline: 0,
            replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, skills: MemberSkill.known,
            knowledge: knows ? knowledge : nil, keptSince: durable.keptSince)
    }
}
