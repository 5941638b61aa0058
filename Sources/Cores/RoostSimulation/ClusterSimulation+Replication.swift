internal import RoostFailover
import RoostModel

// Streams, acknowledgements and the clients whose commits wait for them.
extension ClusterSimulation {
    private static let retriesMax = 20

    /// The receiver tries to connect by itself, whatever its supervisor does.
    func connect(_ member: Int, _ life: Int) {
        guard members[member].life == life else { return }
        schedule(.connect(member, life: life), after: pause(150, 350))
        guard case .following(let leader, let epoch) = members[member].postgres.mode, leader != member,
            time >= members[member].frozenUntil, !members[member].postgres.isHung, !members[leader].postgres.isHung
        else { return }
        if members[member].postgres.outgrownEpoch == epoch {
            guard members[member].operation == nil else { return }
            return tell(member, .cannotFollow("the log it needs is gone", after: members[member].lastOperation))
        }
        if let stream = members[member].postgres.stream {
            let isKnown =
                stream.leaderLife == members[leader].postgres.life && members[leader].postgres.peers[member].isStreaming
            if isKnown || !isOpen(leader, member) { return }
            // It was given up there, or the leader's new Postgres knows nothing of this connection.
            members[member].postgres.stream = nil
        }
        guard let leading = members[leader].postgres.primaryEpoch, time >= members[leader].frozenUntil,
            isOpen(member, leader), isOpen(leader, member), case .primary = members[leader].postgres.mode,
            leading == epoch || scenario.breach == .ignoresStreamNames,
            members[leader].postgres.quorum.admits(member), !isLateConnection
        else { return }
        let log = members[member].postgres.log
        if mayNotStream(member, from: leader, epoch: leading) {
            return fail("\(members[member].name) was given up, and streams from \(members[leader].name)")
        }
        if members[member].postgres.isTorn || members[member].postgres.isShort {
            return fail("\(members[member].name) streams with pages that are newer than its log \(log)")
        }
        let leaders = members[leader].postgres
        if leaders.isShort, leaders.log != log, leaders.log.isPrefix(of: log) {
            guard members[member].operation == nil else { return }
            return tell(member, .leaderLostLog("the leader has less", after: members[member].lastOperation))
        }
        guard log.isPrefix(of: leaders.log) else {
            if scenario.breach == .ignoresStreamNames { return }
            return fail("\(members[member].name) with log \(log) joins the stream of \(members[leader].postgres.log)")
        }
        tokens += 1
        let source = members[leader].postgres.log
        if scenario.checksReports, let fork = members[member].postgres.fork,
            source.begin(of: fork.timeline) != fork.begin.offset
        {
            return fail("\(members[member].name) was told of a timeline at \(fork.begin) that \(source) has not")
        }
        members[member].postgres.stream = SimulatedStream(
            id: tokens, leader: leader, leaderLife: members[leader].postgres.life, epoch: leading, sent: log.end)
        members[leader].postgres.peers[member] = .init(isStreaming: true, flushed: log.end)
        members[leader].postgres.processes[member] = SimulatedProcess(
            names: members[leader].postgres.written, number: tokens)
        note("\(members[member].name) streams from \(members[leader].name) in epoch \(leading) at \(log.end)")
        confirm(leader, by: member, sentAt: time)
        sendLog(of: leader)
    }

    /// What is flushed goes out, one message at a time on each stream.
    func sendLog(of leader: Int) {
        let log = members[leader].postgres.log
        for member in members.indices where !members[leader].postgres.isHung {
            guard let stream = members[member].postgres.stream, stream.leader == leader,
                stream.leaderLife == members[leader].postgres.life, !stream.isCarrying, stream.sent < log.end
            else { continue }
            members[member].postgres.stream?.isCarrying = true
            members[member].postgres.stream?.sent = log.end
            let flush = loaded(flush: random.pick(1, 10) * Self.millisecond * members[member].slowness)
            schedule(.deliver(member, stream: stream.id, log), after: delay(leader, member) + flush)
        }
    }

    func deliver(_ member: Int, _ id: Int, _ log: SimulatedLog) {
        guard let stream = members[member].postgres.stream, stream.id == id else { return }
        if time < members[member].frozenUntil {
            return schedule(.deliver(member, stream: id, log), after: members[member].frozenUntil - time)
        }
        if disk(of: member, delays: .deliver(member, stream: id, log)) || breaksOff(member, stream) { return }
        guard isOpen(stream.leader, member), !members[member].postgres.isHung else {
            members[member].postgres.stream?.retries += 1
            guard stream.retries < Self.retriesMax else {
                members[member].postgres.stream = nil
                return
            }
            return schedule(.deliver(member, stream: id, log), after: 200 * Self.millisecond)
        }
        if !members[member].postgres.log.isPrefix(of: log) {
            return fail("\(members[member].name) with log \(members[member].postgres.log) received \(log)")
        }
        members[member].postgres.log = log
        members[member].postgres.stream?.isCarrying = false
        members[member].postgres.stream?.retries = 0
        schedule(
            .acknowledge(
                to: stream.leader, life: stream.leaderLife, from: member, end: log.end, sentAt: time, retries: 0),
            after: delay(member, stream.leader))
        sendLog(of: stream.leader)
    }

    func acknowledge(_ leader: Int, _ life: Int, _ from: Int, _ end: UInt64, _ sentAt: Int, _ retries: Int) {
        guard members[leader].core != nil, members[leader].postgres.life == life else { return }
        var wait = 0
        if time < members[leader].frozenUntil {
            wait = members[leader].frozenUntil - time
        } else if !isOpen(from, leader) || members[leader].postgres.isHung {
            // Sent again by the kernel, even when the receiver is long gone.
            guard retries < Self.retriesMax else {
                members[leader].postgres.peers[from].isStreaming = false
                return
            }
            wait = 200 * Self.millisecond
        }
        guard wait == 0 else {
            return schedule(
                .acknowledge(
                    to: leader, life: life, from: from, end: end, sentAt: sentAt, retries: retries + 1), after: wait)
        }
        if end > members[leader].postgres.peers[from].flushed { members[leader].postgres.peers[from].flushed = end }
        confirm(leader, by: from, sentAt: sentAt)
    }

    /// One client writes to some member, through its gate or past it.
    func writeAsClient() {
        if let primaryAt, time - primaryAt > 2 * Self.second { return }
        schedule(.client, after: random.pick(10, 120) * Self.millisecond)
        let member = random.choose(made)
        guard case .primary(let epoch) = members[member].postgres.mode, time >= members[member].frozenUntil,
            !members[member].postgres.isShort, !members[member].postgres.isHung, !isHanging(member),
            members[member].gateIsOpen || random.chance(50)
        else { return }
        members[member].postgres.log.append(UInt64(random.pick(1, 40)), epoch: epoch)
        members[member].postgres.waiting.append(members[member].postgres.log.end)
        sendLog(of: member)
        confirmAlone(member)
    }
}
