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
    private let list = Mutex(LookList<Kind.Thing>())
    /// Plans that were carried out, and when.
    private let done = Mutex<[Kind.Thing: (plan: Plan<Kind.Step>, at: Moment)]>([:])
    /// Steps that this host has noted, and that every plan has had since: what they did does not show yet.
    private let told = Mutex<[Kind.Thing: Set<Kind.Step>]>([:])
    /// When it was last looked what time has changed.
    private let watched = Mutex<Moment?>(nil)
    private let wakes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// So often it is seen whether something is due by time, or the duty has come or gone. Nothing is looked at for that.
    static var tick: Duration { .milliseconds(250) }
    /// What changes within this time is looked at together.
    static var collectPause: Duration { .milliseconds(50) }
    /// Until what a plan did shows in the planet, the same plan is not carried out again; for no longer than this.
    static var settleMax: Duration { .seconds(1) }
    /// So often it is looked what time has changed.
    static var watchInterval: Duration { .seconds(1) }
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
        for step in Kind.stepNames {
            for result in ["ok", "failed"] { Metric.planSteps.begin(Kind.name, step, result) }
        }
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe(to: Kind.heeds)
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { group in
                group.addTask { for await set in changes { self.note(set) } }
                group.addTask {
                    repeat { self.wakes.continuation.yield() } while (try? await Task.sleep(for: Self.tick)) != nil
                }
                for await _ in wakes.stream {
                    // What others do while they have the duty is all looked at when it comes here.
                    guard fence() != nil else {
                        list.withLock { $0.note(.all) }
                        told.withLock { $0 = [:] }
                        kind.forgetWatch()
                        continue
                    }
                    guard watcher.isLive else {
                        kind.forgetWatch()
                        continue
                    }
                    await watch()
                    for job in await look() { group.addTask { await self.work(job) } }
                    try? await Task.sleep(for: Self.collectPause)
                }
                group.cancelAll()
            }
        }
    }

    /// While others have the duty nobody asks whom a change concerns: all is looked at when it comes here.
    func note(_ changes: Set<PlanetChange>) {
        guard fence() != nil else { return list.withLock { $0.note(.all) } }
        let concerns = watcher.read { planet in changes.map { kind.concern(of: $0, in: planet) } }
        list.withLock { list in for concern in concerns { list.note(concern) } }
        wakes.continuation.yield()
    }

    /// What may be another by time alone is looked at like what has changed.
    private func watch() async {
        let now = BootClock.now()
        let isDue = watched.withLock { watched in
            if let last = watched, now - last < Self.watchInterval { return false }
            watched = now
            return true
        }
        guard isDue else { return }
        let things = kind.watch(in: watcher.planet, reachable: await reachable())
        if !things.isEmpty { list.withLock { $0.note(.things(things)) } }
    }

    /// A thing that is to be worked on, with the plan and what the plan was made from.
    struct Job: Sendable {
        var thing: Kind.Thing
        var plan: Plan<Kind.Step>
        var planet: Planet
    }

    /// Plans for what is due and is not what it is to be, and takes what may be worked on now.
    func look() async -> [Job] {
        guard let range = list.withLock({ $0.take(at: BootClock.now()) }) else { return [] }
        let planet = watcher.planet
        let reachable = await reachable()
        let things =
            switch range {
            case .everything: kind.things(in: planet)
            case .things(let things): Array(things)
            }
        var plans: [Kind.Thing: Plan<Kind.Step>] = [:]
        var unfinished: Set<Kind.Thing> = []
        for thing in things {
            guard let plan = kind.plan(for: thing, in: planet, reachable: reachable) else { continue }
            let isNoted = Self.text(of: plan.obstacles) == kind.noted(on: thing, in: planet)
            if !plan.isDone || !isNoted { unfinished.insert(thing) }
            if plan.steps.isEmpty, isNoted { continue }
            plans[thing] = plan
        }
        list.withLock { $0.saw(range, unfinished: unfinished) }
        told.withLock { told in
            for thing in things where plans[thing]?.steps.isEmpty != false { told[thing] = nil }
            if range == .everything {
                let present = Set(things)
                told = told.filter { present.contains($0.key) }
            }
        }
        let now = BootClock.now()
        let waiting = settling(plans, at: now)
        let taken = queue.withLock { queue in
            queue.take(
                plans.keys.filter { !waiting.contains($0) }.sorted(), of: range == .everything ? nil : Set(things),
                at: now)
        }
        return taken.compactMap { thing in plans[thing].map { Job(thing: thing, plan: $0, planet: planet) } }
    }

    /// Those whose plan has just been carried out, and shows no more of that yet.
    private func settling(_ plans: [Kind.Thing: Plan<Kind.Step>], at now: Moment) -> Set<Kind.Thing> {
        done.withLock { done in
            done = done.filter { now - $0.value.at < Self.settleMax }
            return Set(plans.filter { done[$0.key]?.plan == $0.value }.keys)
        }
    }

    /// What became of a step; neither done nor failed is one whose plan was too old.
    private struct Outcome: Sendable {
        var step: Kind.Step
        var isDone: Bool
        var failure: String?
    }

    /// Carries out the steps of one plan at once, and writes down what is in the way.
    func work(_ job: Job) async {
        guard let fence = fence() else {
            queue.withLock { $0.finished(job.thing, succeeded: true, at: BootClock.now()) }
            return
        }
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for step in job.plan.steps {
                group.addTask {
                    do throws(Refusal) {
                        let isDone = try await self.kind.carryOut(
                            step, for: job.thing, in: job.planet, fence: fence)
                        if isDone { Metric.planSteps.add(Kind.name, Kind.name(of: step), "ok") }
                        return Outcome(step: step, isDone: isDone)
                    } catch {
                        Metric.planSteps.add(Kind.name, Kind.name(of: step), "failed")
                        self.logger.warning("a step failed", metadata: ["of": "\(job.thing)", "error": "\(error)"])
                        return Outcome(step: step, isDone: false, failure: error.obstacle)
                    }
                }
            }
            return await group.reduce(into: [Outcome]()) { $0.append($1) }
        }
        let failures = outcomes.compactMap(\.failure)
        let carriedOut = outcomes.filter(\.isDone).map(\.step)
        let failed = outcomes.filter { $0.failure != nil }.map(\.step)
        let obstacle = Self.text(of: job.plan.obstacles + failures)
        await note(carriedOut, obstacle, on: job, fence)
        // A cut is no obstacle: whoever has the duty next plans the step again.
        if !Task.isCancelled { await note(obstacle, failed: failed, on: job, fence) }
        let now = BootClock.now()
        if failures.isEmpty { done.withLock { $0[job.thing] = (job.plan, now) } }
        queue.withLock { $0.finished(job.thing, succeeded: failures.isEmpty, at: now) }
    }

    /// On the operation that the work is a part of: each step once, though it is carried out again for as long as the
    /// planet does not show it. It is the record that says what is on it: what this host remembers only spares the store a
    /// question, for another host may have noted it, a note's answer may be lost, and a plan that was made of what arrived by
    /// and by may have been without the step for a moment. What cannot be written now is missing among its steps, and
    /// nothing else: how it ends is seen in the planet.
    private func note(_ done: [Kind.Step], _ obstacle: String?, on job: Job, _ fence: Transaction.Compare) async {
        let former = told.withLock { told in
            told[job.thing, default: []].formIntersection(job.plan.steps)
            return told[job.thing] ?? []
        }
        let new = done.filter { !former.contains($0) }
        guard let operations, let id = kind.operation(on: job.thing, in: job.planet),
            !new.isEmpty || obstacle != job.planet.operations[id]?.obstacle, !Task.isCancelled
        else { return }
        do throws(Refusal) {
            let isWritten = try await operations.note(
                new.map { Kind.words(for: $0) }.sorted(), obstacle: obstacle, on: id, under: fence)
            if isWritten { told.withLock { $0[job.thing]?.formUnion(new) } }
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
    private func note(_ obstacle: String?, failed: [Kind.Step], on job: Job, _ fence: Transaction.Compare) async {
        guard obstacle != kind.noted(on: job.thing, in: job.planet) else { return }
        if let obstacle {
            logger.warning(
                "cannot get on, trying again", metadata: ["with": "\(job.thing)", "why": "\(obstacle)"])
        } else {
            logger.notice("nothing is in the way any more", metadata: ["of": "\(job.thing)"])
        }
        do throws(Refusal) {
            try await kind.note(obstacle, failed: failed, on: job.thing, in: job.planet, fence: fence)
        } catch {
            logger.warning(
                "cannot write down what is in the way, trying again",
                metadata: ["of": "\(job.thing)", "error": "\(error)"])
        }
    }
}
