public import Logging
import RoostLinux
public import RoostModel
public import RoostPlanet
import RoostPlans
public import RoostStore
import RoostTelemetry
public import ServiceLifecycle
import Synchronization

/// Carries out the plans of one kind of thing, while this host has the duty: each thing by a task of its own, so that a
/// slow host holds up nobody else, and after a failure with a pause that grows.
public final class PlanRunner<Kind: Reconciler>: Service, Sendable {
    private let kind: Kind
    private let watcher: PlanetWatcher
    private let operations: OperationDirectory?
    private let fence: @Sendable () -> Transaction.Compare?
    private let reachable: @Sendable () async -> Set<HostName>
    private let logger: Logger
    private let queue = Mutex(WorkQueue<Kind.Thing>(workersMax: PlanRunner.workersMax))

    /// Between two looks at the planet, and, while somebody else has the duty, whether that is still so.
    static var interval: Duration { .milliseconds(500) }
    static var interludeInterval: Duration { .seconds(1) }
    /// Things worked on at once.
    static var workersMax: Int { 64 }

    /// - Parameters:
    ///   - operations: where it is noted what was done; nil: nowhere.
    ///   - fence: a compare that holds only while this host has the duty; nil while it has not.
    ///   - reachable: the hosts that answer this one at the moment.
    public init(
        _ kind: Kind, watcher: PlanetWatcher, operations: OperationDirectory? = nil,
        fence: @escaping @Sendable () -> Transaction.Compare?,
        reachable: @escaping @Sendable () async -> Set<HostName>, logger: Logger
    ) {
        self.kind = kind
        self.watcher = watcher
        self.operations = operations
        self.fence = fence
        self.reachable = reachable
        self.logger = logger
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    let isOnDuty = fence() != nil
                    if isOnDuty, watcher.isLive {
                        for job in await look() { group.addTask { await self.work(job) } }
                    }
                    try? await Task.sleep(for: isOnDuty ? Self.interval : Self.interludeInterval)
                }
            }
        }
    }

    /// A thing that is to be worked on, with the plan and what the plan was made from.
    struct Job: Sendable {
        var thing: Kind.Thing
        var plan: Plan<Kind.Step>
        var planet: Planet
    }

    /// Plans for everything that is not what it is to be, and takes what may be worked on now.
    func look() async -> [Job] {
        let planet = watcher.planet
        let reachable = await reachable()
        var plans: [Kind.Thing: Plan<Kind.Step>] = [:]
        for thing in kind.things(in: planet) {
            guard let plan = kind.plan(for: thing, in: planet, reachable: reachable) else { continue }
            if plan.steps.isEmpty, Self.text(of: plan.obstacles) == kind.noted(on: thing, in: planet) { continue }
            plans[thing] = plan
        }
        let taken = queue.withLock { $0.take(plans.keys.sorted(), at: BootClock.now()) }
        return taken.compactMap { thing in plans[thing].map { Job(thing: thing, plan: $0, planet: planet) } }
    }

    /// Carries out the steps of one plan at once, and writes down what is in the way.
    func work(_ job: Job) async {
        guard let fence = fence() else {
            queue.withLock { $0.finished(job.thing, succeeded: true, at: BootClock.now()) }
            return
        }
        let outcomes = await withTaskGroup(of: (done: String?, failure: String?).self) { group in
            for step in job.plan.steps {
                group.addTask {
                    do throws(Refusal) {
                        try await self.kind.carryOut(step, for: job.thing, in: job.planet, fence: fence)
                        Metric.planSteps.add(Kind.name, Kind.name(of: step), "ok")
                        return (Kind.words(for: step), nil)
                    } catch {
                        Metric.planSteps.add(Kind.name, Kind.name(of: step), "failed")
                        self.logger.warning("a step failed", metadata: ["of": "\(job.thing)", "error": "\(error)"])
                        return (nil, error.message)
                    }
                }
            }
            return await group.reduce(into: [(done: String?, failure: String?)]()) { $0.append($1) }
        }
        let failures = outcomes.compactMap(\.failure)
        await note(outcomes.compactMap(\.done), Self.text(of: job.plan.obstacles + failures), on: job, fence)
        // A cut is no obstacle: whoever has the duty next plans the step again.
        if !Task.isCancelled { await note(Self.text(of: job.plan.obstacles + failures), on: job, fence) }
        queue.withLock { $0.finished(job.thing, succeeded: failures.isEmpty, at: BootClock.now()) }
    }

    /// On the operation that the work is a part of. What cannot be written now is missing among its steps, and nothing
    /// else: how it ends is seen in the planet.
    private func note(_ done: [String], _ obstacle: String?, on job: Job, _ fence: Transaction.Compare) async {
        guard let operations, let id = kind.operation(on: job.thing, in: job.planet),
            !done.isEmpty || obstacle != job.planet.operations[id]?.obstacle, !Task.isCancelled
        else { return }
        do throws(Refusal) {
            try await operations.note(done.sorted(), obstacle: obstacle, on: id, under: fence)
        } catch {
            logger.warning("cannot note on an operation", metadata: ["operation": "\(id)", "error": "\(error)"])
        }
    }

    /// In an order of its own, so that the same obstacles are the same text; nil when there are none.
    private static func text(of obstacles: [String]) -> String? {
        obstacles.isEmpty ? nil : obstacles.sorted().joined(separator: "; ")
    }

    /// The host that works on a thing knows best why it does not get on: that hosts have no room, refuse or do not
    /// answer. People ask any host, so it is written to the store, when it changes.
    private func note(_ obstacle: String?, on job: Job, _ fence: Transaction.Compare) async {
        guard obstacle != kind.noted(on: job.thing, in: job.planet) else { return }
        if let obstacle {
            logger.warning(
                "cannot get on, trying again", metadata: ["with": "\(job.thing)", "why": "\(obstacle)"])
        } else {
            logger.notice("nothing is in the way any more", metadata: ["of": "\(job.thing)"])
        }
        do throws(Refusal) { try await kind.note(obstacle, on: job.thing, in: job.planet, fence: fence) } catch {
            logger.warning(
                "cannot write down what is in the way, trying again",
                metadata: ["of": "\(job.thing)", "error": "\(error)"])
        }
    }
}
