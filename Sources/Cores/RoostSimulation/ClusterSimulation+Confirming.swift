internal import RoostFailover
import RoostModel

// How a leader's Postgres comes to confirm by others. It has many processes, and each reads at its own time by whom: one
// for each standby, which counts all streams that show a priority, and the one that says whether commits wait at all. A
// process may stand still between what it has read and what it goes by.
extension ClusterSimulation {
    private static let barrierMax = 4 * second
    private static let senderPatience = 2 * second
    private static let proofInterval = 20 * millisecond

    /// A Postgres that was just started or promoted: all its processes begin with this.
    func begin(confirmingBy quorum: SimulatedQuorum, on leader: Int) {
        let names = quorum.names
        members[leader].postgres.quorum = quorum
        members[leader].postgres.proven = quorum
        members[leader].postgres.written = names
        members[leader].postgres.processes = Array(
            repeating: SimulatedProcess(names: names), count: members.count + 1)
        members[leader].postgres.commitsWait = names.needed > 0
        admitOnly(quorum, leader)
    }

    /// - Returns: nil when it has to be looked at again later.
    func changeQuorum(_ leader: Int, to next: SimulatedQuorum, _ current: SimulatedOperation) -> OperationOutcome? {
        let postgres = members[leader].postgres
        guard let began = current.barrierSince else {
            if next.needed == 0 || next.names == postgres.proven?.names { return goOn(by: next, leader) }
            members[leader].operation?.barrierSince = time
            members[leader].operation?.provesWaiting =
                scenario.breach == .provesByWhatWasWritten
                ? postgres.written.needed == 0 : postgres.proven?.needed ?? 0 == 0
            write(barrier(from: postgres.quorum, to: next), leader)
            return lookAgain(leader, current)
        }
        let doubted = doubted(leader, current)
        if doubted.isEmpty { return goOn(by: next, leader) }
        guard time - began < Self.barrierMax else {
            goBack(leader)
            return .failed("a process goes by what counted before")
        }
        if time - began >= Self.senderPatience {
            for member in doubted where member < members.count { endSender(of: member, on: leader) }
        }
        return lookAgain(leader, current)
    }

    private func barrier(from former: SimulatedQuorum, to next: SimulatedQuorum) -> SimulatedNames {
        var names = SimulatedNames(needed: .max, standbys: [])
        if scenario.breach == .countsLeavers {
            names.standbys = former.standbys + next.standbys.filter { !former.standbys.contains($0) }
        }
        return names
    }

    /// The processes that have not shown that they go by the barrier.
    private func doubted(_ leader: Int, _ current: SimulatedOperation) -> [Int] {
        let postgres = members[leader].postgres
        return postgres.processes.indices.filter { place in
            let process = postgres.processes[place]
            guard place < members.count else {
                return current.provesWaiting && (process.reading != nil || !postgres.commitsWait)
            }
            if scenario.breach == .countsLeavers { return process.names != postgres.written }
            return process.reading != nil || process.names.standbys.contains(place)
        }
    }

    private func lookAgain(_ leader: Int, _ current: SimulatedOperation) -> OperationOutcome? {
        schedule(.stage(leader, token: current.token), after: Self.proofInterval)
        return nil
    }

    private func goOn(by next: SimulatedQuorum, _ leader: Int) -> OperationOutcome {
        members[leader].postgres.quorum = next
        members[leader].postgres.proven = next
        write(next.names, leader)
        admitOnly(next, leader)
        return .done
    }

    /// The operation has failed: what is proven counts again. Sometimes not even that can be written.
    func goBack(_ leader: Int) {
        guard members[leader].operation?.barrierSince != nil, let proven = members[leader].postgres.proven,
            scenario.breach != .provesByWhatWasWritten, random.chance(70)
        else { return }
        write(proven.names, leader)
    }

    /// Its standby connects again, and what it has said before is nobody's.
    private func endSender(of member: Int, on leader: Int) {
        members[leader].postgres.processes[member] = SimulatedProcess(names: members[leader].postgres.written)
        members[leader].postgres.peers[member] = .init()
        dropStream(of: member, from: leader)
    }

    /// Whoever has no slot any more has no stream.
    private func admitOnly(_ quorum: SimulatedQuorum, _ leader: Int) {
        for member in members.indices where !quorum.admits(member) {
            members[leader].postgres.peers[member].isStreaming = false
            dropStream(of: member, from: leader)
        }
    }

    private func dropStream(of member: Int, from leader: Int) {
        guard let stream = members[member].postgres.stream, stream.leader == leader,
            stream.leaderLife == members[leader].postgres.life
        else { return }
        if isOpen(leader, member) { members[member].postgres.stream = nil }
    }

    // MARK: - What its processes read

    private func write(_ names: SimulatedNames, _ leader: Int) {
        members[leader].postgres.written = names
        for place in members[leader].postgres.processes.indices {
            var wait = random.pick(100, 30_000) * members[leader].slowness
            if random.chance(10) { wait += random.pick(0, 3000) * Self.millisecond }
            // It is at a checkpoint that is in a hurry.
            if place == members.count, random.chance(20) { wait += random.pick(0, 15_000) * Self.millisecond }
            schedule(.readNames(leader, life: members[leader].postgres.life, process: place), after: wait)
        }
    }

    func readNames(_ leader: Int, _ life: Int, _ place: Int) {
        guard members[leader].postgres.life == life, members[leader].postgres.processes.indices.contains(place) else {
            return
        }
        let again = ClusterSimulation.Occurrence.readNames(leader, life: life, process: place)
        if time < members[leader].frozenUntil { return schedule(again, after: members[leader].frozenUntil - time) }
        guard members[leader].postgres.processes[place].reading == nil else {
            return schedule(again, after: 5 * Self.millisecond)
        }
        members[leader].postgres.processes[place].reading = members[leader].postgres.written
        let number = members[leader].postgres.processes[place].number
        let wait = random.chance(5) ? random.pick(0, 6000) * Self.millisecond : random.pick(1, 50)
        schedule(.goByNames(leader, life: life, process: place, number: number), after: wait)
    }

    func goByNames(_ leader: Int, _ life: Int, _ place: Int, _ number: Int) {
        guard members[leader].postgres.life == life, members[leader].postgres.processes[place].number == number,
            let names = members[leader].postgres.processes[place].reading
        else { return }
        if time < members[leader].frozenUntil {
            return schedule(
                .goByNames(leader, life: life, process: place, number: number),
                after: members[leader].frozenUntil - time)
        }
        members[leader].postgres.processes[place].reading = nil
        members[leader].postgres.processes[place].names = names
        guard place == members.count else {
            // Its standby says again and again what it has.
            let isOfNow = members[leader].postgres.primaryEpoch == current?.epoch.number
            return isOfNow ? confirm(leader, by: place, sentAt: time) : ()
        }
        members[leader].postgres.commitsWait = names.needed > 0
        if names.needed == 0 { confirmAlone(leader) }
    }

    // MARK: - Confirming

    /// What this member's answer brings about: its sender goes by what it has read, and counts whoever shows a priority.
    func confirm(_ leader: Int, by member: Int, sentAt: Int) {
        let postgres = members[leader].postgres
        guard postgres.primaryEpoch != nil, postgres.processes.indices.contains(member) else { return }
        let names = postgres.processes[member].names
        guard names.standbys.contains(member) else { return }
        let counted = members.indices.filter { postgres.processes[$0].names.standbys.contains($0) }
        let flushed = counted.map { postgres.peers[$0].flushed }.sorted(by: >)
        guard names.needed > 0, names.needed <= flushed.count else { return }
        confirm(leader, upTo: flushed[names.needed - 1], needed: names.needed, sentAt: sentAt)
    }

    /// No commit waits for anybody.
    func confirmAlone(_ leader: Int) {
        guard members[leader].postgres.primaryEpoch != nil, !members[leader].postgres.commitsWait else { return }
        confirm(leader, upTo: members[leader].postgres.log.end, needed: 0, sentAt: time)
    }

    /// Commits that enough standbys have are confirmed to their clients.
    private func confirm(_ leader: Int, upTo reached: UInt64, needed: Int, sentAt: Int) {
        guard let epoch = members[leader].postgres.primaryEpoch else { return }
        let count = members[leader].postgres.waiting.prefix { $0 <= reached }.count
        guard count > 0 else { return }
        let last = members[leader].postgres.waiting[count - 1]
        members[leader].postgres.waiting.removeFirst(count)
        confirmed += count
        noteGap()
        confirmedAt = time
        checkConfirmation(by: leader, epoch: epoch, end: last, needed: needed, acknowledgedAt: sentAt)
        // A person was told that this may be, and that it is lost.
        if !isGivenUp(leader) { expose(epoch: epoch, end: last) }
    }

    private func noteGap() {
        guard !isHealed, let confirmedAt else { return }
        longestGap = max(longestGap, time - confirmedAt)
        if let played { gaps[played.index] = max(gaps[played.index], time - confirmedAt) }
    }
}
