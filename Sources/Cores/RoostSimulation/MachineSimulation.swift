import HeapModule
package import RoostMachineLife
import RoostModel

/// One machine in virtual time: the two cores in a shell, a ledger, a runtime, somebody who orders, and faults. The same
/// scenario always runs the same way.
///
/// Checked at every event that could break it: nothing is launched after it was stopped or destroyed, or over what
/// another launch left; what is told of the machine is what really happened, once; a machine said to be at rest does
/// not run. At the end: what was ordered last is so.
public final class MachineSimulation {
    enum Occurrence {
        case order
        case fault
        case heal
        case inspect
        case startAgent
        case tell(MachineFinding, incarnation: Int)
        case keeper(KeeperLoop.Event, incarnation: Int)
        case finish(step: Int, incarnation: Int)
        /// A signal has its effect.
        case endProcess(attempt: String, MachineExit)
    }

    struct Timed: Comparable {
        var time: Int
        var order: Int
        var occurrence: Occurrence

        static func < (left: Timed, right: Timed) -> Bool { (left.time, left.order) < (right.time, right.order) }
        static func == (left: Timed, right: Timed) -> Bool { left.order == right.order }
    }

    /// A step that is being taken.
    struct Activity {
        var number: Int
        var step: MachineStep
        var isBrokenOff = false
    }

    /// What the machine was last ordered to be.
    enum Wish { case created, started, stopped, destroyed }

    static let second = 1_000_000
    static let millisecond = 1000
    static let traceLinesMax = 4000

    let scenario: MachineScenario
    let faults: [MachineScenario.Fault]
    let pace: Int
    let config: MachineConfig
    var random: SplitMix64
    var heap = Heap<Timed>()
    var order = 0
    var time = 0
    var bootedAt = -second

    // On disk.
    var life: MachineLife
    var events: [MachineNews] = []

    // In memory of the agent; each crash begins another incarnation.
    var incarnation = 0
    var isAgentUp = false
    var keeper = KeeperLoop()
    var newestOrder: UInt64 = 0
    var activity: Activity?
    var steps = 0
    var attempts = 0

    var machine = SimulatedMachine()
    var runtimeFailsUntil = 0
    var runtimeHangsUntil = 0
    var ledgerFailsUntil = 0
    var slowImagesUntil = 0
    var refusesLaunch = false
    var isHealed = false
    var isDone = false

    // What is checked against.
    var wish: Wish
    /// Of the events: those from here on came after the last order.
    var wishedAt = 0
    var orderedEnds: Set<String> = []
    var toldEnds: Set<String> = []
    var orders = 0
    var crashes = 0
    var violation: Violation?
    let keepsTrace: Bool
    var trace: [String] = []
    let breakage: LifeBreakage?

    /// - Parameter keepsTrace: slow; for a run that is known to fail.
    public convenience init(_ scenario: MachineScenario, keepsTrace: Bool = false) {
        self.init(scenario, breakage: nil, keepsTrace: keepsTrace)
    }

    package init(_ scenario: MachineScenario, breakage: LifeBreakage?, keepsTrace: Bool = false) {
        self.scenario = scenario
        self.breakage = breakage
        self.keepsTrace = keepsTrace
        random = SplitMix64(seed: scenario.seed)
        // Few kinds of fault in a run find more than all in each.
        var chosen: [MachineScenario.Fault] = []
        if !scenario.faults.isEmpty { for _ in 0..<random.pick(1, 4) { chosen.append(random.choose(scenario.faults)) } }
        faults = chosen
        pace = random.pick(200, 8000)
        config = MachineConfig(
            image: "a", restart: MachineRestart(policy: random.choose([.no, .onFailure, .always]), retriesMax: 3),
            stop: StopConfig(timeout: DurationText(.seconds(random.pick(1, 10)))), autoDestroy: random.chance(15))
        let startsAtOnce = random.chance(70)
        life = MachineLife(startsAtOnce: startsAtOnce)
        life.breakage = breakage
        wish = startsAtOnce ? .started : .created
        schedule(.startAgent, after: 1)
        schedule(.order, after: random.pick(1, 3000) * Self.millisecond)
        schedule(.fault, after: random.pick(1, 5000) * Self.millisecond)
        schedule(.heal, after: scenario.chaosSeconds * Self.second)
    }

    public func run() -> MachineRun {
        while violation == nil, !isDone, let next = heap.popMin() {
            time = next.time
            handle(next.occurrence)
        }
        return MachineRun(
            scenario: scenario, violation: violation, orders: orders, launches: machine.launches.count,
            crashes: crashes, trace: trace)
    }

    private func handle(_ occurrence: Occurrence) {
        switch occurrence {
        case .order: giveOrder()
        case .fault: strike()
        case .heal: heal()
        case .inspect:
            isDone = true
            inspect()
        case .startAgent: startAgent()
        case .tell(let finding, let incarnation):
            if incarnation == self.incarnation { tell(finding) }
        case .keeper(let event, let incarnation):
            if incarnation == self.incarnation { act(keeper.handle(event, at: now)) }
        case .finish(let number, let incarnation):
            if incarnation == self.incarnation, let activity, activity.number == number { finish(activity) }
        case .endProcess(let attempt, let exit):
            guard case .running(attempt) = machine.body else { return }
            note("the process ends with \(exit.code)")
            end(exit)
        }
    }

    func schedule(_ occurrence: Occurrence, after delay: Int) {
        order += 1
        heap.insert(Timed(time: time + max(delay, 1), order: order, occurrence: occurrence))
    }

    /// On the host's clock.
    var now: Moment { Moment(sinceBoot: .microseconds(time - bootedAt)) }

    func note(_ text: @autoclosure () -> String) {
        guard keepsTrace, trace.count < Self.traceLinesMax else { return }
        trace.append("\(Double(time / 1000) / 1000)\t\(text())")
    }

    func fail(_ what: String) {
        guard violation == nil else { return }
        violation = Violation(what: what, atSeconds: Double(time / 1000) / 1000)
        note("VIOLATION: \(what)")
    }
}
