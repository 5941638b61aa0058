import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostReaders
import RoostWire
import Synchronization

/// Carries the core's Postgres operations out, one at a time, and keeps the account of which is running: what is
/// observed, and a crash, only mean something between two of them.
final class Operations: Sendable {
    struct State {
        var last = OperationID.none
        var running: OperationID?
        var task: Task<Void, Never>?
        /// The crash of this Postgres was told already.
        var crashTold = false
        /// What the leader of this epoch streams to.
        var epoch = Epoch.none
        var follower = FollowerDoubt()
        /// What `readEnd` has found, as long as nothing was followed since.
        var end: (end: LSN, timeline: UInt32)?
        /// Postgres follows, in this epoch, and nothing has been done to it since.
        var follows: Epoch?
        /// When it was last seen to stream, of a standby.
        var streamedAt = Moment.zero
        /// Of a reader: whom it is to follow…
        var seat: ReaderSeat?
        /// …as of which seat its Postgres is being led; nil: it has to be…
        var led: ReaderSeat?
        /// …and has been.
        var seated: ReaderSeat?
        /// Of a standby: which readers it feeds.
        var readers = FedReaders()
    }

    /// An operation that clients must not see waits this long until they are kept out. It then goes on: with a host that
    /// hangs, Postgres's own rules have to do.
    private static let gatePatience = Duration.milliseconds(300)

    let instance: PostgresInstance
    let logger: Logger
    let known: KnownCluster
    private let events: EventQueue
    private let gate: GateKeeper
    private let clock: OperationClock
    /// Nil: the member follows straight.
    let relay: RelayKeeper?
    let state = Mutex(State())
    /// Where the readers are that this standby feeds.
    let fed = Mutex<[IPv6Address]>([])
    /// What a long operation has done so far, in words.
    private let done = Mutex<String?>(nil)
    /// What keeps standbys from following this leader, or this standby from following its own, in words.
    private let trouble = Mutex<String?>(nil)
    /// Postgres does not let its supervisor in, in words.
    private let refusal = Mutex<String?>(nil)

    init(
        instance: PostgresInstance, timings: FailoverTimings, logger: Logger, known: KnownCluster, events: EventQueue,
        gate: GateKeeper, relay: RelayKeeper? = nil
    ) {
        self.instance = instance
        clock = OperationClock(
            charge: .init(
                isRunning: { instance.isRunning }, look: { instance.lookAtStart(onlyOnce: $0) },
                end: { await instance.stop(.immediate, within: .milliseconds(500)) }),
            timings: timings, logger: logger)
        self.logger = logger
        self.known = known
        self.events = events
        self.gate = gate
        self.relay = relay
        instance.listen(.init(crashed: { [weak self] in self?.postgresCrashed() }))
    }

    var progress: String? { done.withLock { $0 } }
    var complaint: String? { refusal.withLock { $0 } ?? trouble.withLock { $0 } }

    /// Begins at once; the end is told as an event. An operation that still runs is given up first, and never told.
    func start(_ operation: PostgresOperation, _ id: OperationID) {
        trouble.withLock { $0 = nil }
        if !operation.keepsFollowing { relay?.leadNowhere() }
        let previous = state.withLock { state in
            state.last = id
            state.running = id
            state.crashTold = false
            state.follower = FollowerDoubt()
            if !operation.keepsFollowing { (state.follows, state.seated) = (nil, nil) }
            return state.task
        }
        // The top of a service: the runner of operations, of which the account above holds the only one.
        let task = Task {
            await self.giveUp(previous)
            let began = BootClock.now()
            if operation.waitsForGate { await self.gate.closed(within: Self.gatePatience) }
            // What came meanwhile waits for this one to end, and may be the fence: nothing is begun that it would undo.
            guard !Task.isCancelled else { return self.ended(id, .failed("cancelled"), of: operation) }
            let outcome = await self.clock.carryOut(operation) { try await self.perform(operation, within: $0) }
            self.keepEnd(outcome)
            // A primary's places for senders are for its standbys. A standby keeps the connection: the next fence and
            // the next promotion begin with a question, and a new connection may take a busy computer too long.
            if operation.leavesPrimary { await self.instance.probe.disconnect() }
            self.logger.info(
                "operation ended",
                metadata: [
                    "operation": "\(operation)", "id": "\(id)", "outcome": "\(outcome)",
                    "ms": "\((BootClock.now() - began).milliseconds)",
                ])
            self.ended(id, outcome, of: operation)
        }
        state.withLock { state in
            if state.running == id { state.task = task }
        }
    }

    private func keepEnd(_ outcome: OperationOutcome) {
        state.withLock { state in
            if case .end(let end, let timeline, _) = outcome { state.end = (end, timeline) } else { state.end = nil }
        }
    }

    var lastEnd: (end: LSN, timeline: UInt32)? { state.withLock { $0.end } }

    func giveUp(_ previous: Task<Void, Never>?) async {
        guard let previous else { return }
        previous.cancel()
        await previous.value
    }

    private func ended(_ id: OperationID, _ outcome: OperationOutcome, of operation: PostgresOperation) {
        done.withLock { $0 = nil }
        let isCurrent = state.withLock { state in
            guard state.running == id else { return false }
            state.running = nil
            state.task = nil
            return true
        }
        guard isCurrent else { return }
        events.put(.operationEnded(id, outcome))
        if case .failed = outcome, !operation.leavesPrimaryAlone { return }
        if instance.hasCrashed { postgresCrashed() }
    }

    /// Told once, and only between operations: in one, it is the operation's failure.
    private func postgresCrashed() {
        let last = state.withLock { state -> OperationID? in
            guard state.running == nil, !state.crashTold else { return nil }
            state.crashTold = true
            return state.last
        }
        guard let last else { return }
        logger.warning("Postgres ended by itself", metadata: ["how": "\(instance.exit ?? "")"])
        events.put(.postgresExited(after: last))
    }

    /// A sample of a running Postgres, if no operation runs or ran meanwhile; of a reader with the seat as of which its Postgres has
    /// been led.
    func observe() async -> EventQueue.Entry? {
        let before = state.withLock { $0 }
        guard before.running == nil, instance.isRunning,
            var sample = try? await instance.observe(epoch: before.epoch)
        else { return nil }
        // A receiver goes on with the one before until Postgres has heard of the other.
        if case .standby(var standby) = sample, standby.isStreaming, before.seated != nil,
            let upstream = before.follower.upstream
        {
            standby.isStreaming = await instance.receives(from: upstream)
            sample = .standby(standby)
        }
        let isSame = state.withLock { state in
            state.last == before.last && state.running == nil && state.seated == before.seated
        }
        guard isSame else { return nil }
        if case .standby(let standby) = sample {
            if standby.isStreaming { state.withLock { $0.streamedAt = BootClock.now() } }
            doubt(standby, after: before.last)
        }
        return EventQueue.Entry(event: .observed(sample, after: before.last), seat: before.seated)
    }

    // MARK: - Whether it could ever follow

    /// A standby that has no stream for long asks its leader why. Only the answer counts: what Postgres writes to its log
    /// may have been written by a client.
    private func doubt(_ sample: StandbyObservation, after last: OperationID) {
        let upstream = state.withLock { state -> PostgresSettings.Upstream? in
            guard state.last == last, state.running == nil else { return nil }
            return state.follower.isToAsk(isStreaming: sample.isStreaming, BootClock.now())
        }
        guard let upstream else { return }
        // A question of its own, which takes seconds when nobody answers: samples go on meanwhile, and the account above
        // lets one be asked at a time.
        Task { await self.askWhy(upstream, after: last) }
    }

    private func askWhy(_ upstream: PostgresSettings.Upstream, after last: OperationID) async {
        var verdict = LeaderTrial.Verdict.unclear("the member's settings cannot be read")
        if let settings = try? settings(.standby(upstream: upstream)) {
            let view = known.view
            verdict = await instance.trial(of: upstream, view.rule, settings, view.secrets, isReader: view.isReader)
        }
        let isCurrent = state.withLock { state in
            guard state.last == last, state.running == nil else { return false }
            state.follower.isAsking = false
            return true
        }
        guard isCurrent else { return }
        switch verdict {
        case .canFollow: break
        case .otherData(let why):
            // Nobody but a person knows which of the two is the one that counts.
            logger.error("the leader has other data, and what is here is kept", metadata: ["why": "\(why)"])
            trouble.withLock { $0 = why }
        case .unclear(let why): logger.debug("nobody knows why there is no stream", metadata: ["why": "\(why)"])
        case .cannotFollow(let why):
            logger.warning("the leader says that this member can never follow it", metadata: ["why": "\(why)"])
            events.put(.cannotFollow(why, after: last))
        case .leaderLostLog(let why):
            logger.error("the leader has lost a part of its log", metadata: ["why": "\(why)"])
            events.put(.leaderLostLog(why, after: last))
        }
    }

    // MARK: - Each operation

    private func perform(_ operation: PostgresOperation, within limit: Duration) async throws -> OperationOutcome {
        let view = known.view
        switch operation {
        case .initialize:
            try await instance.initialize(view.secrets, within: limit)
        case .clone(let leader, let epoch):
            let source = try upstream(leader, epoch, view)
            return try await clone(leader, source, view, within: limit)
        case .exchange: try await instance.exchange()
        case .discard: try await instance.discard()
        case .tryRewind(let leader, let epoch):
            return try await tryRewind(to: leader, epoch, view, within: limit)
        case .rewind(let leader, let epoch):
            return try await reaching(leader, epoch, view) { source, settings in
                try await self.instance.rewind(to: source, settings, view.secrets, within: limit)
                try await self.configure(.standby(upstream: nil))
                return .done
            }
        case .sever: try await sever()
        case .readEnd:
            return try await provingDamage { try await self.readEnd(within: limit) }
        case .follow(let leader, let epoch, let fork):
            if instance.isLeader { await instance.stop(.fast, within: .seconds(5)) }
            if let fork { try await instance.expect(fork) }
            let source = try upstreamToFollow(leader, epoch, view)
            if let source { await lead(to: source, fork, view) }
            try await configure(.standby(upstream: source))
            return try await provingDamage {
                // One that refuses follows all the same, and is repaired with its leader, by what it replays.
                if case .refusesLogin(let why) = try await self.received(within: limit) { self.complain(why) }
                self.noteFollowing(source, epoch)
                await self.forgetReign()
                return .done
            }
        case .promote(let epoch, let confirmations, let standbys, let guests):
            let role = PostgresSettings.Role.leader(
                epoch: epoch, standbys: standbys, confirmations: confirmations, guests: guests)
            let outcome = try await promote(role, within: limit)
            try await takeSlots(of: epoch, for: standbys + guests, within: limit)
            state.withLock { $0.epoch = epoch }
            return outcome
        case .startPrimary(let epoch, let confirmations, let standbys, let guests):
            let role = PostgresSettings.Role.leader(
                epoch: epoch, standbys: standbys, confirmations: confirmations, guests: guests)
            // A primary's recovery keeps nothing of what it has done (only archive recovery has restartpoints, xlog.c): one
            // that takes longer than this operation, and is stopped, would never come to its end.
            if !instance.isComingUp(as: role) { await instance.stop(.fast, within: .seconds(5)) }
            try await configure(role)
            if case .refusesLogin(let why) = try await received(within: limit) {
                try await repair(because: why, within: limit)
            }
            // A guest's holds the log that its copy goes on with.
            try await takeSlots(of: epoch, for: standbys + guests, within: limit)
            try await instance.removeCopies()
            state.withLock { $0.epoch = epoch }
        case .confirmBy(let epoch, let confirmations, let standbys, let guests):
            // Slots that are not as they should be by then are looked after every second.
            let end = BootClock.now() + (limit - .seconds(1))
            let role = PostgresSettings.Role.leader(
                epoch: epoch, standbys: standbys, confirmations: confirmations, guests: guests)
            try await instance.confirm(by: try settings(role), view.secrets)
            await keepSlots(of: epoch, for: standbys + guests, until: end)
        case .checkpoint: try await instance.checkpoint(within: limit)
        case .stop(.fast): await instance.stop(.fast, within: .seconds(4))
        case .stop(.immediate): try await instance.end(.immediate, within: .milliseconds(500))
        }
        return .done
    }

    /// A copy takes the place of what is here, of whatever system that is: so the leader's must be the cluster's. Until a rule
    /// says which that is, it is that of the data here, if there is any that can be read.
    private func obstacle(to source: PostgresSettings.Upstream, _ view: ClusterView) async throws -> String? {
        var own = try instance.systemIdentifier().map(PostgresInstance.ExpectedSystem.own)
        if await instance.damage() != nil { own = nil }
        return await instance.obstacle(
            to: source, try settings(.standby(upstream: nil)), view.secrets,
            system: view.rule?.system.map(PostgresInstance.ExpectedSystem.clusters) ?? own)
    }

    private func tryRewind(
        to leader: MemberName, _ epoch: Epoch, _ view: ClusterView, within limit: Duration
    ) async throws -> OperationOutcome {
        try await reaching(leader, epoch, view) { source, settings in
            func obstacle() async throws -> String? {
                try await self.instance.tryRewind(to: source, settings, view.secrets, within: limit)
            }
            guard try await obstacle() != nil else { return .done }
            // A leader that stopped meanwhile has cut it off: it says nothing of the data then.
            if let away = try await self.obstacle(to: source, view) { return .unreachable("\(leader): \(away)") }
            return try await obstacle().map { .impossible($0) } ?? .done
        }
    }

    private func clone(
        _ leader: MemberName, _ source: PostgresSettings.Upstream, _ view: ClusterView, within limit: Duration
    ) async throws -> OperationOutcome {
        try await instance.removeCopies()
        if let why = try await obstacle(to: source, view) { return .unreachable("\(leader): \(why)") }
        let settings = try settings(.standby(upstream: nil))
        let measured = try await instance.measure(source, settings, view.secrets)
        if let spaces = measured.elsewhere {
            return .unreachable("\(leader) keeps data outside its volume: drop the tablespaces \(spaces)")
        }
        if let why = try instance.lackOfRoom(for: measured) { return .noRoom(why) }
        try await instance.clone(from: source, settings, view.secrets, within: limit) { bytes in
            self.done.withLock { $0 = "\(bytes) copied" }
        }
        return .done
    }

    /// Nothing is touched when the leader cannot be reached.
    private func reaching(
        _ leader: MemberName, _ epoch: Epoch, _ view: ClusterView,
        _ body: (PostgresSettings.Upstream, PostgresSettings) async throws -> OperationOutcome
    ) async throws -> OperationOutcome {
        let source = try upstream(leader, epoch, view)
        let settings = try settings(.standby(upstream: nil))
        let system = try instance.systemIdentifier().map(PostgresInstance.ExpectedSystem.own)
        if let why = await instance.obstacle(to: source, settings, view.secrets, system: system) {
            return .unreachable("\(leader): \(why)")
        }
        return try await body(source, settings)
    }

    /// When Postgres does not start, the data counts on all the same: unless it is proven to be none.
    private func provingDamage(_ body: () async throws -> OperationOutcome) async throws -> OperationOutcome {
        do { return try await body() } catch {
            guard !instance.isRunning, let damage = await instance.damage() else { throw error }
            return .spoiled(damage)
        }
    }

    /// The slots of a reign of its own that is over hold log and dead rows for nobody. A copy that was given up takes up
    /// room.
    private func forgetReign() async {
        do {
            try await instance.dropSlots(among: members)
            try await instance.removeCopies()
        } catch {
            logger.notice("something of an earlier epoch is still there", metadata: ["why": "\(error)"])
        }
    }

    /// A leader whose Postgres has no place for a slot leads all the same, and tries again every second: whether enough
    /// standbys stream is seen by itself.
    func keepSlots(of epoch: Epoch, for standbys: [MemberName], until end: Moment? = nil) async {
        do { try await instance.keepSlots(of: epoch, for: standbys, among: members, until: end) } catch {
            logger.warning("not every standby has its slot", metadata: ["why": "\(error)"])
        }
    }

    /// A leader's slots must not fill its volume, and a standby has none.
    func tendSlots() async {
        guard state.withLock({ $0.running == nil }), instance.isRunning else { return }
        do {
            if instance.isLeader {
                // Before anything that may fail, or take long: whoever is taken off has no way in from now on.
                let addresses = known.view.ofMembers.map(\.address)
                try await instance.admit(fed: [], members: addresses)
                try await instance.endSessions(butOf: addresses)
                try await instance.tendRoles(
                    known.view.secrets, standbys: (known.view.rule?.members.count ?? members.count) - 1)
                try await instance.tendSlots()
                trouble.withLock { $0 = nil }
            } else {
                try await tendReaders()
            }
            refusal.withLock { $0 = nil }
        } catch {
            logger.debug("roles and slots were not looked after", metadata: ["why": "\(error)"])
            if instance.isLeader {
                trouble.withLock { $0 = "roles or slots of its standbys: \(PostgresError.words(for: error))" }
            }
        }
    }

    private func sever() async throws {
        let isPrimary = await instance.isPrimary()
        if instance.isRunning, instance.isLeader || isPrimary {
            try await instance.end(.immediate, within: .milliseconds(500))
        }
        try await configure(.standby(upstream: nil))
        try await instance.stopFollowing()
        dismissReaders()
    }

    private func readEnd(within limit: Duration) async throws -> OperationOutcome {
        let reception: PostgresInstance.Reception
        do { reception = try await receivedAsStandby(within: limit) } catch {
            guard let found = await instance.endWithoutRoom(within: limit) else { throw error }
            logger.warning("no room to start: the end is read from the log on disk", metadata: ["why": "\(error)"])
            return .end(found.end, timeline: found.timeline, forks: try instance.forks(of: found.timeline))
        }
        if case .refusesLogin(let why) = reception {
            return try await readEndUnheard(because: why, within: limit)
        }
        var found = try await instance.endOfLog(within: limit)
        if try instance.hasLeftovers(above: found.timeline) {
            await instance.stop(.fast, within: .seconds(4))
            try await instance.removeLeftovers(above: found.timeline)
            try await startOrReload(within: limit)
            found = try await instance.endOfLog(within: limit)
        }
        return .end(found.end, timeline: found.timeline, forks: try instance.forks(of: found.timeline))
    }

    /// One that somebody else promoted becomes a standby again, of its own log.
    private func receivedAsStandby(within limit: Duration) async throws -> PostgresInstance.Reception {
        try await configure(.standby(upstream: nil))
        let reception = try await received(within: limit)
        guard case .answers = reception, try await instance.isPrimary(within: limit) else { return reception }
        try await instance.end(.immediate, within: .milliseconds(500))
        // What makes it a standby is written while it does not run.
        try await configure(.standby(upstream: nil))
        return try await received(within: limit)
    }

    private func promote(
        _ role: PostgresSettings.Role, within limit: Duration
    ) async throws -> OperationOutcome {
        // It answered from its log on disk, and has room now.
        if !instance.isRunning {
            try await configure(.standby(upstream: nil))
            try await startOrReload(within: limit)
        }
        try await configure(role)
        if case .refusesLogin(let why) = try await instance.reception(within: limit) {
            try await instance.promoteUnheard(within: limit)
            try await repair(because: why, within: limit)
        }
        let point = try await instance.promote(within: limit)
        return .promoted(switchPoint: point.begin, timeline: point.timeline)
    }

    private func startOrReload(within limit: Duration) async throws {
        if case .refusesLogin(let why) = try await received(within: limit) { throw PostgresError("log in", why) }
    }

    /// Has Postgres run with the configuration as it is, and be asked.
    private func received(within limit: Duration) async throws -> PostgresInstance.Reception {
        if instance.isRunning { try instance.reloadIfChanged() } else { try await instance.start() }
        return try await instance.reception(within: limit)
    }

    // MARK: - A Postgres that does not let its supervisor in

    private func complain(_ why: String) {
        logger.error("Postgres does not let its supervisor in", metadata: ["why": "\(why)"])
        refusal.withLock { $0 = "does not let its supervisor in: \(why)" }
    }

    private func repair(because why: String, within limit: Duration) async throws {
        complain(why)
        try await instance.repair(known.view.secrets, because: why)
        logger.warning("the supervisor was let in again")
        try await startOrReload(within: limit)
    }

    /// Without a session the end is read from the disk, where a stopped Postgres has left its log.
    private func readEndUnheard(because why: String, within limit: Duration) async throws -> OperationOutcome {
        complain(why)
        await instance.stop(.fast, within: .seconds(4))
        let found = try await instance.endOfStoppedLog(within: limit)
        if try instance.hasLeftovers(above: found.timeline) {
            try await instance.removeLeftovers(above: found.timeline)
        }
        try await instance.flushLog()
        _ = try await received(within: limit)
        return .end(found.end, timeline: found.timeline, forks: try instance.forks(of: found.timeline))
    }
}
