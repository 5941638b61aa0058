internal import RoostFailover
import RoostModel

// What members say to each other directly: datagrams that are lost, late, doubled, out of order and repeated after long.
extension ClusterSimulation {
    func sendBeat(_ beat: MemberBeat, from member: Int) {
        guard members[member].knowsBeats else { return }
        let first = members[member].beatsSent + 1
        let others = members.indices.filter { $0 != member && members[$0].knowsBeats }
        members[member].beatTimes.note(first, through: first + UInt64(others.count) - 1, at: moment(of: member))
        var isChecked = false
        for other in others {
            var beat = beat
            if !members[member].knowsCalls || !members[other].knowsCalls {
                beat.call = nil
                beat.answer = nil
            }
            members[member].beatsSent += 1
            let known = members[member].acquaintances[other]
            let datagram = BeatDatagram(
                beat, to: members[other].name, life: members[member].beatLife, number: members[member].beatsSent,
                challenge: known.challenge, echo: known.echo, heard: members[member].saysHeard ? known.heard : nil)
            isChecked = isChecked || checkBytes(of: datagram)
            carry(datagram, from: member, to: other)
        }
    }

    private func carry(_ datagram: BeatDatagram, from member: Int, to other: Int) {
        guard isOpen(member, other), beatCuts[member][other] == 0 else {
            if keepsCutBeats {
                schedule(
                    .datagram(to: other, from: member, datagram, sentAt: time), after: random.pick(1, 4) * Self.second)
            }
            return
        }
        guard !random.chance(beatLossPercent) else { return }
        schedule(.datagram(to: other, from: member, datagram, sentAt: time), after: delay(member, other))
        guard random.chance(beatRepeatPercent) else { return }
        let late = random.chance(50) ? random.pick(0, 300) * Self.millisecond : random.pick(1, 30) * Self.second
        schedule(.datagram(to: other, from: member, datagram, sentAt: time), after: delay(member, other) + late)
    }

    /// What is said of a recruitment is read as it was written, and fits. One datagram of a beat stands for the others, which
    /// differ in their numbers.
    ///
    /// - Returns: whether there was something to check.
    private func checkBytes(of datagram: BeatDatagram) -> Bool {
        guard datagram.beat.call != nil || datagram.beat.answer != nil || datagram.heard != nil else { return false }
        if BeatDatagram(datagram.bytes) != datagram { fail("a datagram is not read as it was written: \(datagram)") }
        return true
    }

    /// Whoever stands still has it in its socket.
    func receive(_ datagram: BeatDatagram, on member: Int, from: Int, sentAt: Int) {
        guard members[member].core != nil,
            members[member].acquaintances[from].admits(datagram, next: random.next())
        else { return }
        noteWord(of: from, datagram.beat.epoch, to: member, sentAt)
        tell(member, .heard(datagram.beat, after: members[member].beatTimes.moment(of: datagram.heard)))
    }

    private func noteWord(of from: Int, _ epoch: Epoch, to member: Int, _ sentAt: Int) {
        members[member].words[from, default: [:]][epoch] = max(members[member].words[from]?[epoch] ?? 0, sentAt)
    }

    /// Something befalls it between any two things that it does when it is called, or calls.
    func countDown(_ member: Int, _ event: FailoverEvent, _ actions: [FailoverAction]) {
        guard let left = members[member].actionsToLiveOnceCalled, members[member].actionsToLive == nil else { return }
        var isCalled = actions.contains { if case .beat(let beat) = $0 { beat.call != nil } else { false } }
        if case .heard(let beat, after: _) = event, beat.call != nil { isCalled = true }
        guard isCalled else { return }
        members[member].actionsToLiveOnceCalled = nil
        members[member].actionsToLive = left
    }
}
