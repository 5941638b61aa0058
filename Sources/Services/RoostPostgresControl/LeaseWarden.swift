import Foundation
public import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime
import RoostTelemetry
public import ServiceLifecycle
import Synchronization

/// The second guard against two primaries: kills a leader's machine whose lease ran out although the member has
/// not said that its Postgres is stopped. The first guard is the member's own deadline; this one also works when
/// the member is frozen, and when this program was not there while the lease ran out: which machines hold a lease is kept
/// on disk.
public final class LeaseWarden: Service, Sendable {
    static let checkInterval = Duration.milliseconds(250)
    /// A kill that has not ended by then is tried once more beside it…
    static let killPatience = Duration.seconds(10)
    /// …until so many are under way; and one that failed is tried again after a pause.
    static let attemptsMax = 4
    static let retryPause = Duration.seconds(1)
    /// For what the kernel says of a machine's process.
    static let answerMax = Duration.milliseconds(200)

    private struct State {
        var watches: [MachineID: LeaseHeld] = [:]
        /// What is on disk.
        var saved: Set<MachineID> = []
        var isSaving = false
    }

    private let file: String
    private let logger: Logger
    private let kill: @Sendable (MachineID) async throws -> Void
    private let countLoss: @Sendable () -> Void
    private let began: @Sendable (MachineID) async -> MachineBeginning
    private let state: Mutex<State>
    /// A lease is held, after none was.
    private let wakes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// - Parameters:
    ///   - file: where it keeps which machines hold a lease.
    ///   - began: when what runs of the machine now began.
    ///   - kill: returns when nothing of the machine is left.
    ///   - countLoss: called once for each lease that ended so.
    public init(
        file: String, logger: Logger, began: @escaping @Sendable (MachineID) async -> MachineBeginning,
        kill: @escaping @Sendable (MachineID) async throws -> Void,
        countLoss: @escaping @Sendable () -> Void = { Metric.leaseLosses.add() }
    ) {
        self.countLoss = countLoss
        self.file = file
        self.logger = logger
        self.began = began
        self.kill = kill
        Metric.leaseLosses.begin()
        var state = State()
        let now = BootClock.now()
        do {
            if let bytes = try DurableFile.read(file) {
                // A member that lives renews or reports within seconds: the lease counts from now.
                state.saved = try JSONDecoder().decode(Set<MachineID>.self, from: Data(bytes))
                for machine in state.saved { state.watches[machine] = LeaseHeld(epoch: .none, renewedAt: now) }
            }
        } catch {
            logger.error("cannot read which machines hold a lease", metadata: ["file": "\(file)", "error": "\(error)"])
        }
        self.state = Mutex(state)
    }

    /// A heartbeat of the machine's member was accepted by the store; it was asked for at `requestedAt`.
    public func noteRenewal(by machine: MachineID, epoch: Epoch, requestedAt: Moment) {
        let isFirst = state.withLock { state in
            defer {
                state.watches[machine, default: LeaseHeld(epoch: epoch, renewedAt: requestedAt)].renew(
                    epoch, requestedAt)
            }
            return state.watches.isEmpty
        }
        if isFirst { wakes.continuation.yield() }
    }

    /// What the member says of itself, whether or not the store could be told. A member whose Postgres may still be a
    /// primary says so until it is stopped.
    public func noteReport(_ report: MemberReport, by machine: MachineID) {
        switch report.role {
        // A word of a newer version: nobody has said that it is stopped.
        case .primary, .unknown: break
        case .standby: state.withLock { $0.watches[machine] = nil }
        }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { group in
                var wake = wakes.stream.makeAsyncIterator()
                while !Task.isCancelled {
                    // A kill that takes long holds up nobody.
                    for (machine, renewedAt) in overdue(at: BootClock.now()) {
                        group.addTask { await self.end(machine, renewedAt: renewedAt) }
                    }
                    // As does a disk that hangs.
                    group.addTask { await self.save() }
                    // Most hosts have no leader.
                    if isQuiet { _ = await wake.next() } else { try? await Task.sleep(for: Self.checkInterval) }
                }
                group.cancelAll()
            }
        }
    }

    /// No lease is held, and the disk knows it.
    private var isQuiet: Bool { state.withLock { $0.watches.isEmpty && $0.saved.isEmpty } }

    /// The machines to kill now, each with the renewal that ran out.
    func overdue(at now: Moment) -> [(MachineID, Moment)] {
        state.withLock { state in
            state.watches.keys.sorted().compactMap { machine in
                guard state.watches[machine]?.begin(now) == true, let watch = state.watches[machine] else { return nil }
                return (machine, watch.renewedAt)
            }
        }
    }

    /// One attempt. The watch ends when the machine has, and not before.
    func end(_ machine: MachineID, renewedAt: Moment) async {
        let present = await answer(of: machine)
        // This program ends; the lease is on disk.
        guard !Task.isCancelled else { return }
        switch present {
        // One that was launched since, after a power loss of the host for example, never had this lease.
        case .running(let began) where began > renewedAt: return forgetGone(machine, renewedAt)
        case .nothing: return forgetGone(machine, renewedAt)
        case .running, .unknown: break
        }
        logger.error(
            "a leader's lease ran out and its member did not stop it; killing the machine",
            metadata: ["machine": "\(machine)"])
        do {
            try await kill(machine)
            // Once, however many tries end with it.
            if forget(machine, renewedAt) { countLoss() }
        } catch {
            logger.critical(
                "cannot kill an overdue leader; it is tried again",
                metadata: ["machine": "\(machine)", "error": "\(error)"])
            state.withLock { $0.watches[machine]?.failed(at: BootClock.now()) }
        }
    }

    /// When the machine began, if that is said at once: a kill waits for nobody.
    private func answer(of machine: MachineID) async -> MachineBeginning {
        final class Answer: Sendable { let given = Mutex<MachineBeginning?>(nil) }
        let answer = Answer()
        // Without a parent, which would wait for it.
        Task { [began] in
            let beginning = await began(machine)
            answer.given.withLock { $0 = beginning }
        }
        let given = try? await poll(for: Self.answerMax, every: .milliseconds(5)) { answer.given.withLock { $0 } }
        return (given ?? nil) ?? .unknown
    }

    private func forgetGone(_ machine: MachineID, _ renewedAt: Moment) {
        logger.info("a leader's lease ended with its machine", metadata: ["machine": "\(machine)"])
        forget(machine, renewedAt)
    }

    /// - Returns: false where another try has, or the lease was renewed meanwhile: that is the next life of the machine.
    @discardableResult
    private func forget(_ machine: MachineID, _ renewedAt: Moment) -> Bool {
        state.withLock { state in
            guard state.watches[machine]?.renewedAt == renewedAt else { return false }
            state.watches[machine] = nil
            return true
        }
    }

    /// Machines that hold a lease, for tests.
    var held: Set<MachineID> { state.withLock { Set($0.watches.keys) } }

    func save() async {
        let changed: Set<MachineID>? = state.withLock { state in
            let held = Set(state.watches.keys)
            guard held != state.saved, !state.isSaving else { return nil }
            state.isSaving = true
            return held
        }
        guard let held = changed else { return }
        defer { state.withLock { $0.isSaving = false } }
        let file = file
        do {
            let bytes = try JSONEncoder().encode(held.sorted())
            try await BlockingCall.run { () throws(SystemError) in try DurableFile.write(bytes, to: file) }
            state.withLock { $0.saved = held }
        } catch {
            logger.error("cannot keep which machines hold a lease", metadata: ["file": "\(file)", "error": "\(error)"])
        }
    }
}

/// One machine's lease, as its host sees it.
struct LeaseHeld: Hashable, Sendable {
    private(set) var epoch: Epoch
    private(set) var renewedAt: Moment
    /// Kills that have not ended.
    private var attempts = 0
    private var nextAttemptAt = Moment.zero

    init(epoch: Epoch, renewedAt: Moment) {
        self.epoch = epoch
        self.renewedAt = renewedAt
    }

    mutating func renew(_ epoch: Epoch, _ requestedAt: Moment) {
        if epoch == self.epoch, renewedAt > requestedAt { return }
        self = LeaseHeld(epoch: epoch, renewedAt: requestedAt)
    }

    /// - Returns: whether the machine is to be killed now.
    mutating func begin(_ now: Moment) -> Bool {
        guard now > renewedAt + Heartbeat.lease + Heartbeat.grace, now >= nextAttemptAt,
            attempts < LeaseWarden.attemptsMax
        else { return false }
        attempts += 1
        nextAttemptAt = now + LeaseWarden.killPatience
        return true
    }

    mutating func failed(at now: Moment) {
        attempts = max(attempts - 1, 0)
        nextAttemptAt = now + LeaseWarden.retryPause
    }
}
