import RoostModel

/// All waits and bounds of a member, in one place.
public struct FailoverTimings: Hashable, Sendable {
    /// The leader renews its lease this often.
    public var heartbeatInterval: Duration = .milliseconds(300)
    /// The leader stops Postgres when this long has passed since it *sent* the last heartbeat that was applied.
    public var lease: Duration = Heartbeat.lease
    /// A standby calls a recruitment after this long without a new heartbeat, while the store answered.
    public var patience: Duration = .seconds(2)
    /// The same when the leader's Postgres, which had much to say, fell silent together with the leader: then it is the
    /// machine, or the way to it.
    public var patienceAfterStream: Duration = .milliseconds(1200)
    /// The same while its own Postgres hears the leader's: then it is the supervisor or its way to the store that is
    /// ill, which may pass (an agent that restarts). Less than `lease`.
    public var patienceWhileStreaming: Duration = .seconds(4)
    /// The same where the store answers, but each time so late that it might have been away: of the time from one answer to
    /// the next ``storeGapMax`` counts at most. So a single outage, however long, counts for next to nothing, and a store that
    /// is slow does not keep a leader in office that says nothing.
    public var patienceWithSlowStore: Duration = .seconds(8)
    /// Added once for each standby before this one in the rule's order, so that not all call at once.
    public var stagger: Duration = .milliseconds(150)
    /// Members say to each other directly that they live, this often.
    public var beatInterval: Duration = .milliseconds(100)
    /// A leader that was heard well is missed after so many of its beats, and four times what they are early or late…
    public var beatsMissedMin: Int = 3
    /// …but not before this,
    public var suspicionMin: Duration = .milliseconds(350)
    /// and on the unsteadiest path after this. Not more than `patienceAfterStream`: then the store's word comes first.
    public var suspicionMax: Duration = .milliseconds(1200)
    /// Heard well means: open, for this long, where the leader's Postgres was heard since: where it speaks on, that shows that it
    /// is the supervisor alone that is silent…
    public var heardOpenMin: Duration = .milliseconds(300)
    /// …or for this long…
    public var heardOpenAloneMin: Duration = .seconds(1)
    /// …and after a gap in that without another for so long. It doubles with each leader that was left and heard again within `patience`,
    /// when that comes within `unrestWindow` of the one before, up to `calmMax`; and then a leader has to be open for as long.
    public var calmMin: Duration = .seconds(3)
    public var calmMax: Duration = .seconds(60)
    public var unrestWindow: Duration = .seconds(120)
    /// A member that is woken later than this has stood still itself, and missed nobody meanwhile.
    public var standstillOfOwnMax: Duration = .milliseconds(200)
    /// The leader's Postgres spoke so long after the leader's last beat: it is not the machine. More than a beat.
    public var streamAfterBeatMax: Duration = .milliseconds(150)
    /// Only a sample taken this long after the last beat can tell. More than `streamAfterBeatMax`.
    public var sampleAfterBeatMin: Duration = .milliseconds(200)
    /// A stream whose last message is older than this does not count as heard.
    public var streamSilenceMax: Duration = .seconds(1)
    /// A stream that was heard for this long without a pause has something to say all the time. An idle one speaks
    /// only now and then (half of Postgres's `wal_receiver_timeout`), and its silence means nothing.
    public var streamBusyMin: Duration = .seconds(2)
    /// Without news for this long, a member asks the store itself instead of waiting for the watch…
    public var doubtAfter: Duration = .milliseconds(400)
    /// …this often.
    public var readInterval: Duration = .milliseconds(150)
    /// A store that was not heard for this long was away: the leader may have been silent because of that. Longer
    /// than `doubtAfter` and the answer to a read together.
    public var storeGapMax: Duration = .milliseconds(900)
    /// A store that was not heard for this long may be away for long: nobody calls, or is called, to another leader directly
    /// then. More than it takes to miss a leader whose host had a member of the store on it.
    public var storeAwayAfter: Duration = .seconds(2)
    /// Shell: give a request to the store up after this long.
    public var storeRequestMax: Duration = .seconds(2)
    /// With no news at all a member still reads this often, in case its watch died silently.
    public var reassuranceInterval: Duration = .seconds(5)
    /// Reports are renewed this often while something in them changes.
    public var reportInterval: Duration = .seconds(2)
    /// Renewed this often also when nothing changes: it shows that the member lives.
    public var reportTick: Duration = MemberReport.tick
    /// A sample of Postgres older than this says nothing about now. The shell waits less for one.
    public var sampleAgeMax: Duration = .seconds(3)
    /// A standby that has less on disk than its leader had this long ago confirms nothing that clients wait for.
    public var confirmationPatience: Duration = .seconds(5)
    /// A standby that has heard nothing from its leader's Postgres for this long lets readers in no more: what it shows may be
    /// of another time, and it may not be the cluster's any more.
    public var standstillMax: Duration = .seconds(10)
    /// A report that was not stored is sent again after this.
    public var reportRetry: Duration = .milliseconds(250)
    /// Members that answered a recruitment wait this long for better answers (a switchover's target; enough standbys
    /// to do without a leader that failed) before they decide with what they have.
    public var decisionPatience: Duration = .milliseconds(1500)
    /// Once the answers say who leads, the others leave it to that one for so long to tell the store: a write over an ocean
    /// and back.
    public var verdictPatience: Duration = .milliseconds(400)
    /// A member calls the others directly for so long; whoever has not promised by then does not any more.
    public var callMax: Duration = .seconds(2)
    /// Nobody was chosen for so long in an epoch that was called for: members are called to the next one. Twice as long each time that
    /// nothing came of it, three times at most.
    public var electionPatience: Duration = .seconds(3)
    /// Where members decide by themselves: a leader that was not heard to be open for so long, by no way, is missed whatever was heard
    /// of it before. Longer than it takes to open.
    public var unheardMax: Duration = .seconds(8)
    /// Whoever has promised what a member has called for directly, and the store does not call for, waits so long for it, and
    /// then calls in the store itself: it can follow nobody before.
    public var unstoredPatience: Duration = .seconds(1)
    /// A leader whose Postgres crashed restarts it in place, so many times within its budget; then it resigns. How far apart
    /// they are says nothing: one that hangs takes `postgresSilenceMax` to be seen, and may take long to recover.
    public var restartsMax: Int = 3
    /// A Postgres that has answered for this long earns one of them back. One that crashes every few minutes does not.
    public var soundAfter: Duration = .seconds(300)
    /// A leader whose Postgres has not come up for this long offers its office to others who could lead, if there are
    /// enough. More than a crash recovery takes as a rule; one that takes longer goes on meanwhile.
    public var recoveryPatience: Duration = .seconds(10)
    /// A standby whose Postgres has answered nothing for so long is ended and started again, if its leader does not see it
    /// either; after twice as long each time…
    public var standbySilenceMin: Duration = .seconds(30)
    /// …up to this…
    public var standbySilenceMax: Duration = .seconds(600)
    /// …and this much later for each standby before this one in the rule's order.
    public var standbySilenceStagger: Duration = .seconds(5)
    /// An attempt to have Postgres up and to be answered by it takes so long at most, the first time.
    public var startMax: Duration = .seconds(120)
    /// A Postgres that is coming up and has done nothing for so long, as the kernel sees it, is ended and started again. More
    /// than the minute after which an idle postmaster wakes (postmaster.c, DetermineSleepTime).
    public var standstillAtStartMax: Duration = .seconds(90)
    /// A leader on whose volume a small write has not ended for so long offers its office to others who could lead. More than a
    /// flush takes on a busy disk; with what is needed to see it and to choose another less than 15 s.
    public var hangPatience: Duration = .seconds(8)
    /// Shell: sample a running Postgres this often.
    public var observationInterval: Duration = .milliseconds(200)
    /// The same while somebody waits for it: clients for a leader that is not open yet, a leader for its standby.
    public var observationIntervalWhileClosed: Duration = .milliseconds(50)
    /// A running Postgres that could not be sampled for this long hangs. Long enough for one that a busy computer has
    /// made slow: to end that one makes everything slower still, and cuts off all its clients.
    public var postgresSilenceMax: Duration = .seconds(10)
    /// The first wait after a failed operation; doubles up to `retryMax`.
    public var retryMin: Duration = .milliseconds(500)
    public var retryMax: Duration = .seconds(15)
    /// Failures in a row to follow, or to start at all, after which a member makes itself a copy beside its data, if
    /// there is room: whatever it is that keeps its Postgres from running, that takes nothing away.
    public var followFailuresMax: Int = 4
    /// A leader that too few standbys stream from or come to stream from, although enough of them report and could lead,
    /// resigns after this…
    public var isolationPatience: Duration = .seconds(10)
    /// …or after this, as long as it and so many standbys as it needs hear each other directly. Both double with each failover
    /// that comes soon after another, up to `isolationMax`.
    public var isolationPatienceWhileHeard: Duration = .seconds(30)
    public var isolationMax: Duration = .seconds(160)
    /// Standbys that are started, taken back or copied to, one attempt after the other, count as some that come to stream for
    /// so long. One attempt may take longer: who is at it could not lead. And a Postgres that hangs is left for so long at
    /// most because another one's is started.
    public var comingMax: Duration = .seconds(300)
    /// Two members have heard each other directly so lately that nothing is between them: beats of a busy computer come late.
    public var acquaintanceMax: Duration = .seconds(5)
    /// A planned switchover gives up when the leader has not drained in this time (checkpoint and stop together).
    public var drainMax: Duration = .seconds(10)
    /// It is given up before clients have to wait, if less than this is left for the stop and for the store.
    public var drainStop: Duration = .seconds(2)
    /// A target further behind than this refuses the switchover.
    public var switchoverLagMax: UInt64 = 16 << 20
    /// After ``FailoverEvent/terminate``, exit comes in this time at the latest.
    public var farewellMax: Duration = .seconds(8)

    /// A member does not take back in place what another one may need, as long as that one has come further in this time…
    public var sparingMax: Duration = .seconds(60)
    /// …and no longer than this in all, while nobody can write.
    public var sparingTotalMax: Duration = .seconds(600)

    /// Commits wait for a member that is about to be one, and for enough of those that stay when one leaves: for so long at
    /// most, then the rule's own members suffice again…
    public var preparationPatience: Duration = .seconds(5)
    /// …and it is tried again after this.
    public var preparationPause: Duration = .seconds(10)
    /// It doubles each time that nothing came of it, up to this.
    public var preparationPauseMax: Duration = .seconds(40)

    public init() {}

    /// Shell: an operation that takes longer has failed, the first time. See ``OperationPatience``.
    public func limit(of operation: PostgresOperation) -> Duration {
        switch operation {
        case .initialize: .seconds(120)
        case .clone: .seconds(24 * 3600)
        case .exchange, .discard: .seconds(600)
        case .tryRewind: .seconds(600)
        case .rewind: .seconds(3600)
        // What is broken off has to begin again; a busy computer needs more than the moment that it takes otherwise.
        case .sever: .seconds(10)
        case .readEnd, .follow, .startPrimary: startMax
        case .promote: .seconds(60)
        // Less than a silent Postgres is given: no sample is taken meanwhile. Nobody confirms for half of it at most.
        case .confirmBy: .seconds(8)
        case .checkpoint: drainMax
        case .stop(.fast): .seconds(5)
        case .stop(.immediate): .seconds(2)
        }
    }
}
