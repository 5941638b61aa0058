import Glibc
public import Logging
public import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// A member of a cluster: the shell around ``FailoverMember``. The core runs on a thread of its own, fed by a queue, so
/// that neither a long copy nor a busy cooperative pool ever delays a heartbeat.
public final class Member: Sendable {
    public struct Options: Sendable {
        public var socket: String
        public var layout: PostgresLayout
        public var timings: FailoverTimings
        /// Where Postgres's log goes; nil: standard error.
        public var postgresLog: String?

        public init(
            socket: String = HostSocket.pathDefault, layout: PostgresLayout = PostgresLayout(),
            timings: FailoverTimings = FailoverTimings(), postgresLog: String? = nil
        ) {
            self.socket = socket
            self.layout = layout
            self.timings = timings
            self.postgresLog = postgresLog
        }
    }

    /// Between two attempts to reach a host that does not answer.
    static let hostPause = Duration.milliseconds(200)
    private static let silenceLogged = Duration.seconds(10)
    /// A leader looks this often how much of the log its slots hold back.
    private static let slotInterval = Duration.seconds(1)

    private static let hangInterval = Duration.milliseconds(500)
    /// A quick writer takes a small reserve in less than a second.
    private static let roomInterval = Duration.milliseconds(250)

    private let timings: FailoverTimings
    private let logger: Logger
    private let link: StoreLink
    private let known: KnownCluster
    private let events: EventQueue
    private let instance: PostgresInstance
    private let operations: Operations
    private let gate: GateKeeper
    private let lease: LeaseWatch
    private let beats: BeatPost
    private let relay: RelayKeeper
    private let file: MemberFile
    private let promises: PromiseKeeper
    /// Somebody waits for what the next sample of Postgres says.
    private let isAwaited = Atomic(false)
    private let volumeFailed = Atomic(false)
    /// The store has answered this process.
    private let hasRead = Atomic(false)
    private let hasOffered = Atomic(false)
    private let trial: VolumeTrial
    /// For as long as this process lives: no name is a reader's and a member's.
    private let isReader: Bool

    /// Waits for the host to say what this member is a member of, and makes ready to take part.
    ///
    /// - Throws: when the member's own files cannot be used, and when the task is cancelled.
    public static func join(_ options: Options, logger: Logger) async throws -> Member {
        let link = StoreLink(socket: HostSocket(options.socket), deadline: options.timings.storeRequestMax)
        var toldAt: Moment?
        while true {
            do {
                let view = try await BlockingCall.run { () throws(any Error) in try link.readOrLast() }
                return try Member(options, link, view, logger)
            } catch let error as HostSocketError {
                if toldAt.map({ BootClock.now() - $0 > silenceLogged }) ?? true {
                    logger.notice("waiting for the store", metadata: ["why": "\(error)"])
                    toldAt = BootClock.now()
                }
                try await Task.sleep(for: hostPause)
            }
        }
    }

    private init(_ options: Options, _ link: StoreLink, _ view: ClusterView, _ logger: Logger) throws {
        var named = logger
        named[metadataKey: "member"] = "\(view.member)"
        let logger = named
        self.logger = logger
        self.link = link
        timings = options.timings
        let layout = options.layout
        try layout.prepare()
        trial = VolumeWatch(layout: layout).trial()
        file = MemberFile(layout.outside(layout.memberFile))
        known = KnownCluster(view)
        isReader = view.isReader
        events = try EventQueue()
        beats = BeatPost(known, logger: logger)
        let instance = try PostgresInstance(
            layout: layout, member: view.member, log: options.postgresLog, logger: logger)
        self.instance = instance
        gate = try GateKeeper(link: link, instance: instance, events: events, logger: logger)
        relay = try RelayKeeper(
            RelayKeeper.line(layout, program: try RunningProgram.path(), port: PostgresSettings.portDefault),
            socket: RelayKeeper.socket(layout), known, logger: logger
        ) { Task { await instance.endReceiversAtTheRelay() } }
        promises = try PromiseKeeper(link: link, instance: instance, gate: gate, logger: logger)
        operations = Operations(
            instance: instance, timings: options.timings, logger: logger, known: known, events: events, gate: gate,
            relay: view.isReader ? nil : relay)
        let mark =
            InitProcess.isParent
            ? try LeaseMark(layout.outside("\(layout.runFolder)/\(InitProcess.markName)")) : nil
        lease = try LeaseWatch(mark: mark) {
            logger.critical("the lease is over: Postgres is killed")
            instance.kill()
        }
    }

    /// Takes part until ``terminate()`` has been carried out.
    public func run() async throws {
        let name = known.view.member
        let state = try file.read() ?? DurableState()
        logger.info(isReader ? "reading along" : "taking part", metadata: ["state": "\(state)"])
        let (over, finish) = AsyncStream<Void>.makeStream()
        try OwnThread.start("core") {
            self.decide(name, state)
            finish.finish()
        }
        try OwnThread.start("watch") { self.watch() }
        if !isReader { try hearOthers() }
        try gate.start { self.events.isClosed }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.observe() }
            group.addTask { await self.tendSlots() }
            group.addTask { await self.watchVolume() }
            group.addTask { await self.watchTrial() }
            group.addTask { await self.tendRoom() }
            for await _ in over {}
            group.cancelAll()
        }
    }

    /// What members say to each other is none of a reader's.
    private func hearOthers() throws(SystemError) {
        try OwnThread.start("beats") {
            self.beats.listen(while: { !self.events.isClosed }) { self.events.put(.heard($0, after: $1)) }
        }
        try OwnThread.start("relay") { self.relay.run { !self.events.isClosed } }
    }

    /// The machine is asked to stop: the core hands over or stops Postgres, and ``run()`` returns.
    public func terminate() {
        promises.end()
        events.put(.terminate)
    }

    // MARK: - The core

    /// Runs on a thread of its own, until the core says that it has done.
    private func decide(_ name: MemberName, _ state: DurableState) {
        settle(name, state)
        var core = Decider(name, state, isReader: isReader, timings: timings, now: BootClock.now())
        var steps = FailoverSteps(of: name)
        var last = core.status
        var kept = state.promised
        var waiting = [EventQueue.Entry(event: .tick)]
        while true {
            if waiting.isEmpty || BootClock.now() >= core.wakeAt { waiting.append(.init(event: .tick)) }
            for entry in waiting {
                let now = BootClock.now()
                core.note(lacksRoomToStart: lacksRoomToStart, known.view)
                let actions = core.receive(entry, now: now)
                if let seat = core.seat { operations.sit(at: seat) }
                // What is to run as a primary is watched before it is started.
                if let until = core.status.leaseUntil { lease.set(until) }
                for action in actions {
                    if case .exit = action {
                        lease.set(nil)
                        endIfVolumeFailed()
                        leave(core.state)
                        events.close()
                        return
                    }
                    carryOut(action, kept: kept)
                    if case .save(let state) = action { kept = state.promised }
                }
                lease.set(core.status.leaseUntil)
                if let account = steps.note(entry.event, actions, from: now, to: BootClock.now()) { tell(account) }
            }
            tell(core.status, &last)
            isAwaited.store(!last.isOpen, ordering: .relaxed)
            waiting = events.takeEntries(until: core.wakeAt)
        }
    }

    /// What was read is on the disk before anything rests on it. What an earlier version has left counts as it is as long
    /// as there is no room for the file that takes its place: without it Postgres would not even start, and nobody could
    /// make room.
    private func settle(_ name: MemberName, _ state: DurableState) {
        if file.isOfEarlierVersion {
            do { try file.settle(state) } catch {
                logger.warning("the member's state is kept as before", metadata: ["why": "\(error)"])
            }
        } else {
            promises.keep(name, promised: state.promised) { () throws(MemberFileError) in try file.settle(state) }
        }
    }

    private func leave(_ state: DurableState) {
        do { try file.leave(state) } catch {
            logger.warning("only this version's program can go on from here", metadata: ["why": "\(error)"])
        }
    }

    private func tell(_ status: FailoverStatus, _ last: inout FailoverStatus) {
        if status.phase != last.phase || status.epoch != last.epoch || status.isOpen != last.isOpen {
            logger.info(
                "now \(status.phase.rawValue)",
                metadata: [
                    "epoch": "\(status.epoch)", "open": "\(status.isOpen)", "detail": "\(status.detail ?? "")",
                ])
        }
        if let doubted = status.doubtedSilence, doubted.epoch != last.doubtedSilence?.epoch {
            logger.info(
                "the leader's silence did not count at first",
                metadata: [
                    "leaders_epoch": "\(doubted.epoch)", "because": "\(doubted.doubt.words)",
                    "lasted_ms": "\(doubted.lasted.milliseconds)",
                ])
        }
        last = status
    }

    /// What it took to come here, for whoever wants to make it shorter.
    private func tell(_ account: FailoverSteps.Account) {
        var fields: Logger.Metadata = ["epoch": "\(account.epoch)"]
        for stamp in account.steps { fields["\(stamp.step.rawValue)_ms"] = "\(stamp.after.milliseconds)" }
        switch account.cause {
        case .recruitment(let reason):
            fields["reason"] = "\(reason.rawValue)"
            logger.info("steps of a failover", metadata: fields)
        case .postgresEnded:
            logger.info("steps of a restart", metadata: fields)
        }
    }

    /// - Parameter kept: what the member is known to have promised.
    private func carryOut(_ action: FailoverAction, kept: Epoch) {
        let link = link
        switch action {
        case .save(let state):
            promises.keep(known.view.member, promised: kept) { () throws(MemberFileError) in try file.write(state) }
        case .read(let number):
            later(.readFailed(number)) {
                let asked = self.known.view.revision
                guard let view = try? link.read() else {
                    self.offerLast()
                    return .readFailed(number)
                }
                self.hasRead.store(true, ordering: .relaxed)
                self.known.learn(view, asked: asked)
                return .viewed(StoreView(view), by: .read(number))
            }
        case .changeRule(let rule, let revision, let number):
            later(.ruleAnswered(number, .unavailable)) {
                .ruleAnswered(number, link.changeRule(rule, expectedRevision: revision))
            }
        case .heartbeat(let beat, let revision):
            later(.heartbeatAnswered(sequence: beat.sequence, .unavailable)) {
                .heartbeatAnswered(sequence: beat.sequence, link.renew(beat, ruleRevision: revision))
            }
        case .holdLease(let epoch, let since, let beat):
            later(.tick) {
                let age = max((BootClock.now() - since).milliseconds, 0)
                // Said again soon, and of no use later.
                try? link.holdLease(LeaseWord(epoch: epoch, ageMilliseconds: age, heartbeat: beat))
                return .tick
            }
        case .report(var report):
            report.detail = detail(of: report)
            promises.note(report)
            later(.reportAnswered(sequence: report.sequence, .unavailable)) { [report] in
                .reportAnswered(sequence: report.sequence, link.report(report))
            }
        case .postgres(let operation, let id): operations.start(operation, id)
        case .setGate(let isOpen):
            promises.note(gateIsOpen: isOpen)
            gate.set(isOpen: isOpen)
        case .beat(let beat): beats.send(beat)
        case .exit: break
        }
    }

    /// To a core that has heard nothing of the store yet.
    private func offerLast() {
        guard !hasRead.load(ordering: .relaxed), let view = try? link.last() else { return }
        if !hasOffered.exchange(true, ordering: .relaxed) {
            logger.notice(
                "the store does not answer: what the host heard last counts as far as the volume bears it out")
        }
        known.learn(view)
        events.put(.viewed(StoreView(view), by: .kept))
    }

    private var lacksRoomToStart: Bool { !instance.isRunning && instance.isShortOfRoom }

    /// What people want to know besides: how far a copy is, why Postgres ended, that the volume is full.
    private func detail(of report: MemberReport) -> String? {
        var detail = report.detail ?? operations.progress
        if let why = detail, !instance.isRunning, let words = instance.lastWordsOfFailure, !why.contains(words) {
            detail = "\(why): \(words)"
        }
        let all = [
            operations.complaint, detail, instance.layout.shortage(), instance.lackOfRoomWords,
        ].compactMap(\.self)
        return all.isEmpty ? nil : all.joined(separator: "; ")
    }

    /// Asks on a thread of its own: answers may be slow, and come in any order.
    private func later(_ otherwise: FailoverEvent, _ body: @escaping @Sendable () -> FailoverEvent) {
        do {
            try OwnThread.start("request") { self.events.put(body()) }
        } catch {
            logger.error("no thread for a request", metadata: ["why": "\(error)"])
            events.put(otherwise)
        }
    }

    // MARK: - What comes by itself

    private func watch() {
        while !events.isClosed {
            do {
                try link.watch { view in
                    if view.isReader != isReader {
                        // What it is has to be known from the beginning: its machine starts it again.
                        logger.critical(
                            "was started as another than it is: it ends", metadata: ["reader": "\(view.isReader)"])
                        events.put(.terminate)
                    }
                    known.learn(view)
                    events.put(.viewed(StoreView(view), by: .watch))
                    return !events.isClosed
                } connected: {
                    // The host's agent may be another than the one that was told last.
                    gate.repeatWord()
                }
            } catch {
                logger.debug("the watch ended", metadata: ["why": "\(error)"])
            }
            usleep(UInt32(Self.hostPause.milliseconds * 1000))
        }
    }

    /// No process in the machine can mend it. The data is left as it is: the host checks the file system when the
    /// machine starts, and the machine's restart policy has the pauses between tries.
    private func watchVolume() async {
        let instance = instance
        let found = await VolumeWatch(layout: instance.layout).untilFault(
            by: trial,
            trying: {
                guard instance.isRunning else { return VolumeWatch.trialIntervalWithoutPostgres }
                let isInDoubt = instance.flushes.withLock { $0.isInDoubt(BootClock.now()) }
                return isInDoubt ? VolumeWatch.trialIntervalInDoubt : VolumeWatch.trialInterval
            })
        guard let fault = found else { return }
        logger.critical("the machine ends", metadata: ["why": "\(fault)"])
        volumeFailed.store(true, ordering: .sequentiallyConsistent)
        // Before its Postgres ends: a leader would start it again.
        events.put(.volumeFailed(fault))
        // What it says it has written it may not have.
        instance.kill()
        // The core asks for a successor and says why it goes. One that waits for the disk cannot.
        guard (try? await Task.sleep(for: timings.farewellMax + .seconds(1))) != nil else { return }
        _exit(VolumeWatch.exitCode)
    }

    /// A disk that hangs fails nothing: what shows it is that a small write does not come to its end.
    private func watchTrial() async {
        var told: Moment?
        while !Task.isCancelled {
            let since = trial.underWaySince.flatMap { BootClock.now() - $0 >= VolumeWatch.hangNoted ? $0 : nil }
            if since != told {
                logger.warning(since == nil ? "the volume answers again" : "a small write to the volume does not end")
                events.put(.volumeHangs(since: since))
                told = since
            }
            try? await Task.sleep(for: Self.hangInterval)
        }
    }

    /// Nothing more is written to it.
    private func endIfVolumeFailed() {
        if volumeFailed.load(ordering: .sequentiallyConsistent) { _exit(VolumeWatch.exitCode) }
    }

    private func tendRoom() async {
        while !Task.isCancelled {
            do { try await instance.tendRoom() } catch {
                logger.debug("the room on the volume was not looked after", metadata: ["why": "\(error)"])
            }
            try? await Task.sleep(for: Self.roomInterval)
        }
    }

    private func tendSlots() async {
        while !Task.isCancelled {
            await operations.tendSlots()
            try? await Task.sleep(for: Self.slotInterval)
        }
    }

    private func observe() async {
        while !Task.isCancelled {
            if let sample = await operations.observe() { events.put(sample.event, at: sample.seat) }
            let isAwaited = isAwaited.load(ordering: .relaxed)
            try? await Task.sleep(
                for: isAwaited ? timings.observationIntervalWhileClosed : timings.observationInterval)
        }
    }
}
