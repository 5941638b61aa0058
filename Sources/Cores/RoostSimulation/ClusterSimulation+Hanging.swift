internal import RoostFailover
import RoostModel

// What stands still without an error: a volume that takes no writes and does not say so, a Postgres that answers nothing.
extension ClusterSimulation {
    /// The shell sees it after a while.
    private static let hangSeenAfter = 2500 * millisecond
    private static let replicationSilenceMax = 5 * second

    func isHanging(_ member: Int) -> Bool { time < members[member].volumeHangsUntil }

    func hangVolume(of member: Int, for long: Int) {
        if !isHanging(member) { members[member].volumeHangsSince = time }
        members[member].volumeHangsUntil = max(members[member].volumeHangsUntil, time + long)
        schedule(.volume(member), after: Self.hangSeenAfter)
    }

    func lookAtVolume(of member: Int) {
        guard isHanging(member) else { return tell(member, .volumeHangs(since: nil)) }
        let ago = Duration.microseconds(time - members[member].volumeHangsSince)
        let now = moment(of: member)
        tell(member, .volumeHangs(since: Moment(sinceBoot: now.sinceBoot - ago)))
        schedule(.volume(member), after: members[member].volumeHangsUntil - time + Self.millisecond)
    }

    /// The process waits for its disk, and all that comes after waits for it.
    ///
    /// - Returns: whether it does.
    func waitsForDisk(_ member: Int, _ actions: ArraySlice<FailoverAction>) -> Bool {
        guard case .save? = actions.first, isHanging(member) else { return false }
        members[member].deferred = Array(actions)
        schedule(.thaw(member), after: members[member].volumeHangsUntil - time + 1)
        return true
    }

    /// Nothing that has to do with the disk has its effect before then; a process that waits for it cannot be ended either.
    func disk(of member: Int, delays occurrence: Occurrence) -> Bool {
        guard isHanging(member) else { return false }
        schedule(occurrence, after: members[member].volumeHangsUntil - time + 1)
        return true
    }

    /// Once for each member and run: it waits longer for each after the first.
    func hangPostgres(of member: Int) {
        guard members[member].postgres.isRunning, !members[member].hasHung else { return }
        members[member].hasHung = true
        members[member].postgres.hungSince = time
        note("\(members[member].name)'s Postgres hangs")
    }

    /// A sender gives up a receiver that answers nothing (`wal_sender_timeout`).
    func giveUpSilentReceivers(of leader: Int) {
        for member in members.indices {
            guard let since = members[member].postgres.hungSince, time - since >= Self.replicationSilenceMax else {
                continue
            }
            members[leader].postgres.peers[member].isStreaming = false
        }
    }

    /// It waits in vain for one that hangs.
    func needsAnswer(_ operation: PostgresOperation) -> Bool {
        switch operation {
        case .readEnd, .follow, .promote, .confirmBy, .checkpoint: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .startPrimary, .stop: false
        }
    }
}
