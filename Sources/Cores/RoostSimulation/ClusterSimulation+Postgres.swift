internal import RoostFailover
import RoostModel

// The operations on a member's Postgres.
extension ClusterSimulation {
    private static let operationMax = 8 * second

    func stopPostgres(_ member: Int) {
        dropStream(of: member)
        guard members[member].postgres.isRunning else { return }
        members[member].postgres.begin(.stopped, members: members.count)
        // Its standbys notice at once when nothing is cut between them, else by their time-outs.
        for other in members.indices where members[other].postgres.stream?.leader == member {
            if isOpen(member, other) { members[other].postgres.stream = nil }
        }
    }

    /// The receiver is gone; the leader sees it if it can.
    func dropStream(of member: Int) {
        guard let stream = members[member].postgres.stream else { return }
        members[member].postgres.stream = nil
        if isOpen(member, stream.leader), members[stream.leader].postgres.life == stream.leaderLife {
            members[stream.leader].postgres.peers[member].isStreaming = false
        }
    }

    /// A new operation pre-empts what is still running.
    func begin(_ operation: PostgresOperation, _ id: OperationID, on member: Int) {
        checkBeginning(operation, on: member)
        tokens += 1
        members[member].operation = SimulatedOperation(id: id, operation: operation, token: tokens)
        members[member].lastOperation = id
        switch operation {
        case .initialize:
            stopPostgres(member)
            members[member].postgres.exists = false
            members[member].postgres.log = SimulatedLog()
        case .startPrimary: stopPostgres(member)
        case .stop(.fast):
            if case .primary(let epoch) = members[member].postgres.mode {
                members[member].postgres.mode = .closing(epoch: epoch)
                if !members[member].postgres.isShort, !isHanging(member) {
                    members[member].postgres.log.append(1, epoch: epoch)
                }
                sendLog(of: member)
            }
        case .discard: stopPostgres(member)
        case .clone, .tryRewind, .rewind:
            return schedule(.stage(member, token: tokens), after: random.pick(5, 300) * Self.millisecond)
        case .sever, .readEnd, .exchange, .follow, .promote, .confirmBy, .checkpoint, .stop(.immediate): break
        }
        takeTime(member, operation)
    }

    private func takeTime(_ member: Int, _ operation: PostgresOperation) {
        let wait = duration(of: operation, members[member].postgres.isRunning) * Self.millisecond
        var duration = loaded(operation: min(wait * members[member].slowness, Self.operationMax))
        if needsRecovery(operation, member) { duration = max(duration, members[member].recoversUntil - time) }
        schedule(.stage(member, token: tokens), after: duration)
    }

    private func needsRecovery(_ operation: PostgresOperation, _ member: Int) -> Bool {
        switch operation {
        case .startPrimary: true
        case .readEnd, .follow: !members[member].postgres.isRunning
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .promote, .confirmBy, .checkpoint,
            .stop:
            false
        }
    }

    private func duration(of operation: PostgresOperation, _ isRunning: Bool) -> Int {
        switch operation {
        case .initialize: random.pick(500, 2000)
        case .clone: random.pick(500, 5000)
        case .exchange, .discard: random.pick(5, 300)
        case .tryRewind: random.pick(50, 500)
        case .rewind: random.pick(300, 2000)
        case .sever: random.pick(5, 150)
        case .readEnd, .follow: isRunning ? random.pick(5, 100) : random.pick(200, 1500)
        case .promote: random.pick(50, 500)
        case .startPrimary: random.pick(200, 1500)
        case .checkpoint, .confirmBy: random.pick(5, 300)
        case .stop: random.pick(10, 100)
        }
    }

    /// The operation has had its time: it takes effect.
    func stage(_ member: Int, _ token: Int) {
        guard let current = members[member].operation, current.token == token else { return }
        if time < members[member].frozenUntil {
            return schedule(.stage(member, token: token), after: members[member].frozenUntil - time)
        }
        if disk(of: member, delays: .stage(member, token: token)) { return }
        if members[member].postgres.isHung, needsAnswer(current.operation) {
            // One that would have to come up is ended for it.
            if current.operation == .readEnd { stopPostgres(member) }
            return end(member, .failed("Postgres does not answer"))
        }
        if time < failingOperationsUntil, canFail(current.operation), random.chance(40) {
            // What takes longer than it may, and goes on.
            if current.operation.goesOnWhileAtWork, random.chance(50) {
                return end(member, .recovering("its time is over, and it goes on"))
            }
            if case .promote = current.operation { stopPostgres(member) }
            goBack(member)
            return end(member, .failed("it was made to fail"))
        }
        if let outcome = effect(of: current, on: member) { end(member, outcome) }
    }

    private func canFail(_ operation: PostgresOperation) -> Bool {
        switch operation {
        case .sever, .stop: false
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .readEnd, .follow, .promote, .startPrimary,
            .confirmBy, .checkpoint:
            true
        }
    }

    private func end(_ member: Int, _ outcome: OperationOutcome) {
        guard let current = members[member].operation else { return }
        members[member].operation = nil
        // A moment in which it is done, but nobody knows: the process may die or freeze here.
        schedule(
            .toCore(member, life: members[member].life, .operationEnded(current.id, outcome)),
            after: random.pick(100, 3000))
    }

    /// - Returns: nil when it has to be looked at again later.
    private func effect(of current: SimulatedOperation, on member: Int) -> OperationOutcome? {
        let count = members.count
        if time < members[member].fullUntil, needsStart(current.operation, member) {
            return .failed("Postgres ended with status 1")
        }
        switch current.operation {
        case .initialize:
            var log = SimulatedLog()
            log.append(1, epoch: 1)
            members[member].postgres.replace(log, members: count)
            return .done
        case .clone(let leader, let epoch): return copy(from: leader, epoch, to: member)
        case .tryRewind(let leader, let epoch):
            guard source(leader, epoch, for: member) != nil else { return .unreachable("\(leader) cannot be reached") }
            stopPostgres(member)
            return random.chance(10) ? .impossible("the log it needs is gone") : .done
        case .rewind(let leader, let epoch): return takeBack(member, to: leader, epoch)
        case .sever:
            if members[member].postgres.isHung { stopPostgres(member) }
            switch members[member].postgres.mode {
            case .following:
                dropStream(of: member)
                members[member].postgres.mode = .detached
            case .primary, .closing, .stray: stopPostgres(member)
            case .stopped, .detached: break
            }
            return .done
        case .exchange: return exchange(member)
        case .discard:
            members[member].postgres.exists = false
            members[member].postgres.isDamaged = false
            members[member].postgres.log = SimulatedLog()
            return .done
        case .readEnd: return readEnd(member)
        case .follow(let leader, let epoch, let fork):
            guard let place = place(of: leader) else { return .failed("no such member") }
            checkStart(member)
            // A reload makes no standby of a primary.
            if members[member].postgres.mode == .stray { return .done }
            dropStream(of: member)
            if !members[member].postgres.isRunning { members[member].postgres.life += 1 }
            members[member].postgres.mode = .following(leader: place, epoch: epoch.number)
            members[member].postgres.fork = fork
            return .done
        case .promote(let epoch, let needed, let standbys, let guests):
            return promote(member, epoch.number, quorum(needed, standbys, guests))
        case .confirmBy(let epoch, let needed, let standbys, let guests):
            guard members[member].postgres.mode == .primary(epoch: epoch.number) else { return .failed("no primary") }
            return changeQuorum(member, to: quorum(needed, standbys, guests), current)
        case .startPrimary(let epoch, let needed, let standbys, let guests):
            checkStart(member)
            if members[member].postgres.isTorn { return .failed("could not locate a valid checkpoint record") }
            members[member].postgres.begin(.primary(epoch: epoch.number), members: count)
            begin(confirmingBy: quorum(needed, standbys, guests), on: member)
            return .done
        case .checkpoint: return members[member].postgres.isRunning ? .done : .failed("Postgres does not run")
        case .stop(.immediate):
            stopPostgres(member)
            return .done
        case .stop(.fast):
            let outcome = stopFast(member, current)
            noteRestarting()
            return outcome
        }
    }

    private func quorum(_ needed: Int, _ standbys: [MemberName], _ guests: [MemberName]) -> SimulatedQuorum {
        SimulatedQuorum(needed: needed, standbys: standbys.compactMap(place), guests: guests.compactMap(place))
    }

    private func place(of name: MemberName) -> Int? { members.firstIndex { $0.name == name } }

    /// Only a leader of this very epoch has the slot.
    private func source(_ leader: MemberName, _ epoch: Epoch, for member: Int) -> Int? {
        guard let place = place(of: leader), members[place].postgres.mode == .primary(epoch: epoch.number),
            isOpen(member, place), isOpen(place, member), time >= members[place].frozenUntil,
            members[place].postgres.quorum.admits(member), !members[place].postgres.isHung
        else { return nil }
        return place
    }

    private func copy(from leader: MemberName, _ epoch: Epoch, to member: Int) -> OperationOutcome? {
        let place = source(leader, epoch, for: member)
        if members[member].operation?.attempts == 0 {
            // An earlier one, which nobody came to exchange.
            members[member].postgres.copy = nil
            guard place != nil else { return .unreachable("\(leader) cannot be copied from") }
            if members[member].postgres.exists, time < max(members[member].noRoomUntil, members[member].fullUntil) {
                return .noRoom("there is no room for both")
            }
            return goOn(member)
        }
        guard let place else { return .failed("\(leader) was lost while it was copied from") }
        members[member].postgres.copy = members[place].postgres.log
        return .done
    }

    /// One step at a time: the process may die between any two.
    private func exchange(_ member: Int) -> OperationOutcome? {
        let postgres = members[member].postgres
        if let copy = postgres.copy {
            if postgres.exists {
                stopPostgres(member)
                members[member].postgres.exists = false
                members[member].postgres.hasAside = true
            } else {
                members[member].postgres.replace(copy, members: members.count)
                members[member].postgres.copy = nil
            }
            return goOn(member)
        }
        guard postgres.exists else {
            fail("\(members[member].name) has neither data nor a copy to exchange it for")
            return .done
        }
        members[member].postgres.hasAside = false
        return .done
    }

    /// It starts Postgres, or makes it write.
    private func needsStart(_ operation: PostgresOperation, _ member: Int) -> Bool {
        switch operation {
        case .readEnd, .follow: !members[member].postgres.isRunning
        case .startPrimary, .promote, .rewind: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .sever, .confirmBy, .checkpoint, .stop: false
        }
    }

    /// The leader was reached: now it takes its time, and leaves a wreck when it is broken off.
    private func goOn(_ member: Int) -> OperationOutcome? {
        guard let current = members[member].operation else { return nil }
        members[member].operation?.attempts = 1
        tokens += 1
        members[member].operation?.token = tokens
        takeTime(member, current.operation)
        return nil
    }

    private func takeBack(_ member: Int, to leader: MemberName, _ epoch: Epoch) -> OperationOutcome? {
        let place = source(leader, epoch, for: member)
        if members[member].operation?.attempts == 0 {
            guard place != nil else { return .unreachable("\(leader) cannot be reached") }
            stopPostgres(member)
            members[member].postgres.isDamaged = true
            return goOn(member)
        }
        guard let place else { return .failed("\(leader) was lost") }
        let target = members[place].postgres.log
        let fork = members[member].postgres.log.agreement(with: target)
        var log = members[member].postgres.log
        if log.isMistaken(for: target) {
            fail("\(members[member].name) rewound over a fork that pg_rewind may not see: \(log) to \(target)")
        }
        log.truncate(to: fork)
        members[member].postgres.log = log
        members[member].postgres.consistentAt = target.end
        members[member].postgres.isDamaged = false
        return .done
    }

    private func readEnd(_ member: Int) -> OperationOutcome {
        checkStart(member)
        guard members[member].postgres.isConsistent else { return .failed("the data is not consistent yet") }
        switch members[member].postgres.mode {
        case .stopped, .detached: members[member].postgres.mode = .detached
        case .stray:
            stopPostgres(member)
            members[member].postgres.mode = .detached
        case .following, .primary, .closing: fail("\(members[member].name) reads its end without a fence")
        }
        members[member].postgres.fork = nil
        let log = members[member].postgres.log
        return .end(LSN(log.end), timeline: log.timeline, forks: log.forks)
    }

    private func promote(_ member: Int, _ epoch: UInt64, _ quorum: SimulatedQuorum) -> OperationOutcome {
        guard members[member].postgres.mode == .detached else { return .failed("not a detached standby") }
        let switchPoint = members[member].postgres.log.end
        let parent = members[member].postgres.log.timeline
        members[member].postgres.log.append(1, epoch: epoch)
        members[member].postgres.begin(.primary(epoch: epoch), members: members.count)
        begin(confirmingBy: quorum, on: member)
        note("\(members[member].name) is primary of epoch \(epoch), log \(members[member].postgres.log)")
        return .promoted(switchPoint: LSN(switchPoint), timeline: parent + 1)
    }

    /// A fast stop waits until the streaming standbys have everything.
    private func stopFast(_ member: Int, _ current: SimulatedOperation) -> OperationOutcome? {
        let postgres = members[member].postgres
        guard case .closing = postgres.mode else {
            stopPostgres(member)
            return .done
        }
        if postgres.peers.allSatisfy({ !$0.isStreaming || $0.flushed >= postgres.log.end }) {
            stopPostgres(member)
            return .done
        }
        // As often as fits in the shell's limit.
        guard current.attempts < 100 else {
            return .failed("the standbys did not take everything")
        }
        members[member].operation?.attempts += 1
        schedule(.stage(member, token: current.token), after: 50 * Self.millisecond)
        return nil
    }

    func observe(_ member: Int, _ life: Int) {
        guard members[member].life == life else { return }
        schedule(.observe(member, life: life), after: pause(150, 300))
        checkStandstill(member)
        checkReplaced(member)
        checkVouched(member)
        checkQuarantine(member)
        let postgres = members[member].postgres
        guard members[member].operation == nil, postgres.isConsistent, time >= members[member].frozenUntil,
            !isLateAnswer, !postgres.isHung
        else { return }
        let sample: PostgresObservation
        switch postgres.mode {
        case .stopped: return
        case .stray:
            members[member].postgres.log.append(UInt64(random.pick(1, 20)), epoch: postgres.log.lastEpoch)
            sample = .primary(
                PrimaryObservation(
                    timeline: postgres.log.timeline, flushed: LSN(members[member].postgres.log.end), standbys: []))
        case .detached, .following:
            let isStreaming = postgres.stream != nil
            let end = LSN(postgres.log.end)
            // Without a stream Postgres shows the timeline of its last checkpoint.
            let shown = isStreaming ? postgres.log.timeline : 1
            sample = .standby(
                StandbyObservation(
                    timeline: shown, received: end, replayed: end, isStreaming: isStreaming,
                    silence: isStreaming ? silence(of: postgres.stream) : nil, lag: .zero))
        case .primary, .closing:
            giveUpSilentReceivers(of: member)
            // Of one that is gone Postgres shows nothing.
            let peers = members[member].postgres.peers
            let standbys = members.indices.filter { $0 != member && peers[$0].isStreaming }.map {
                StreamObservation(member: members[$0].name, isStreaming: true, flushed: LSN(peers[$0].flushed))
            }
            sample = .primary(
                PrimaryObservation(
                    timeline: postgres.log.timeline, flushed: LSN(postgres.log.end), standbys: standbys, system: 1))
        }
        tell(member, .observed(sample, after: members[member].lastOperation))
        checkStray(member)
    }

    /// By anybody who is superuser, on a standby's read port. Not while another member has lost its data: then this may be
    /// the last that has something, and nobody could lead. Postgres takes a number that none of its history files bears;
    /// here timelines are counted by what is in the log, so it must have something of its leader's.
    func promoteByHand(_ member: Int) {
        guard case .following(_, let epoch) = members[member].postgres.mode, members[member].gateIsOpen,
            members[member].postgres.log.lastEpoch == epoch,
            members[member].postgres.isConsistent, time >= members[member].frozenUntil,
            present.allSatisfy({
                members[$0].durable.data == .usable && !members[$0].postgres.isTorn && !members[$0].postgres.isShort
            })
        else { return }
        dropStream(of: member)
        tokens += 1
        members[member].postgres.mode = .stray
        members[member].postgres.life += 1
        members[member].postgres.log.append(
            UInt64(random.pick(1, 400)), epoch: SimulatedLog.foreignEpochs + UInt64(tokens))
        note("\(members[member].name) was promoted by hand: \(members[member].postgres.log)")
    }

    /// As the leader's slots do: the last that are needed are kept.
    func fallBehind(_ member: Int) {
        guard let stream = members[member].postgres.stream else { return }
        let others = members.indices.filter {
            $0 != member && members[$0].postgres.stream?.leaderLife == stream.leaderLife
        }
        guard others.count >= max(members[stream.leader].postgres.quorum.needed, 1) else { return }
        dropStream(of: member)
        members[member].postgres.outgrownEpoch = stream.epoch
        note("\(members[member].name) has fallen behind")
    }

    private func silence(of stream: SimulatedStream?) -> Duration {
        guard let stream, members[stream.leader].postgres.life == stream.leaderLife else { return .seconds(5) }
        let isSilent = time < members[stream.leader].frozenUntil || members[stream.leader].postgres.isHung
        return isSilent || stream.retries > 3 ? .seconds(3) : .milliseconds(200)
    }

    func crashPostgres(_ member: Int) {
        guard members[member].core != nil, members[member].postgres.isRunning else { return }
        note("\(members[member].name)'s Postgres crashes")
        stopPostgres(member)
        if let current = members[member].operation {
            end(member, .failed("Postgres crashed"))
            guard current.operation.leavesPrimaryAlone else { return }
            schedule(
                .toCore(member, life: members[member].life, .postgresExited(after: current.id)),
                after: 5 * Self.millisecond)
        } else {
            tell(member, .postgresExited(after: members[member].lastOperation))
        }
    }
}
