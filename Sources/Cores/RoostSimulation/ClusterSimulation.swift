import HeapModule
package import RoostFailover
import RoostModel

/// A whole cluster in virtual time: cores in their shells, Postgreses, a store, clients and faults, on one heap of
/// events. The same scenario always runs the same way.
///
/// Checked at every event that could break it: one leader for an epoch; nothing confirmed by an old leader after
/// a newer one was chosen; nothing confirmed or shown to clients missing from a later leader's log; no member with
/// another history in a stream; no half-written data folder started; every position reported is the true one.
public final class ClusterSimulation {
    enum Occurrence {
        case wake(Int, life: Int)
        case toCore(Int, life: Int, FailoverEvent)
        case request(Int, life: Int, SimulatedStore.Request, answerBy: Int, isLost: Bool)
        case watch(Int, life: Int, StoreView)
        case stage(Int, token: Int)
        case readNames(Int, life: Int, process: Int)
        case goByNames(Int, life: Int, process: Int, number: Int)
        case observe(Int, life: Int)
        case datagram(to: Int, from: Int, BeatDatagram, sentAt: Int)
        case connect(Int, life: Int)
        case deliver(Int, stream: Int, SimulatedLog)
        case acknowledge(to: Int, life: Int, from: Int, end: UInt64, sentAt: Int, retries: Int)
        case client
        case fault
        case scripted(ClusterScenario.Scripted)
        case repair(Repair)
        case thaw(Int)
        case start(Int)
        case inspect
        case destroy(Int)
        case stall(Int)
        case volume(Int)
        case force
    }

    struct Timed: Comparable {
        var time: Int
        var order: Int
        var occurrence: Occurrence

        static func < (left: Timed, right: Timed) -> Bool { (left.time, left.order) < (right.time, right.order) }
        static func == (left: Timed, right: Timed) -> Bool { left.order == right.order }
    }

    static let second = 1_000_000
    static let millisecond = 1000
    static let traceLinesMax = 4000
    /// So many members can come in a run; none of the names comes twice.
    static let comersMax = 4

    let scenario: ClusterScenario
    /// Members' programs do, but for those of before.
    let knowsMajority: Bool
    let faults: [ClusterScenario.Fault]
    /// The longest pause between two faults, in milliseconds: some runs are harried, some have time to recover.
    let pace: Int
    let breakage: Breakage?
    let timings: FailoverTimings
    var random: SplitMix64
    var heap = Heap<Timed>()
    var order = 0
    var time = 0
    var events = 0

    var store: SimulatedStore
    var members: [SimulatedMember]
    /// One-way delays in microseconds; the store is the last place.
    var delays: [[Int]]
    /// How many faults cut the way from one place to the other.
    var cuts: [[Int]]
    /// The same, for beats alone: they go another way than the streams.
    var beatCuts: [[Int]]
    /// So many beats of a hundred are lost.
    let beatLossPercent: Int
    /// So many come twice, and so many once more after long: whatever keeps them is no friend.
    let beatRepeatPercent: Int
    /// Beats that are cut off come after seconds, instead of never.
    let keepsCutBeats: Bool
    /// Recruitments do not reach the store until then.
    var callsLostUntil = 0
    var storeAwayUntil = 0
    var storeUnclearUntil = 0
    var failingOperationsUntil = 0
    /// All members are slow until then.
    var loadUntil = 0
    var disksToLose: Int
    /// The store was restored from an older copy: its rule may be one that the cluster does not follow.
    var storeWentBack = false
    /// Every rule without a recruitment that the store ever had.
    var settledRules: [ClusterRule] = []
    /// What members have decided by votes, by epoch.
    var decisions: [Epoch: ClusterRule] = [:]
    /// When the members were last made others, or came to vote.
    var steppedAt = 0
    var tokens = 0
    /// How far members' clocks were ahead when somebody paused the cluster.
    var pausedAhead: [Int] = []
    var restartingAtOnce = 0
    /// How often a rule followed from what members say, and how often none did.
    var recoveries = (offered: 0, refused: 0)

    var forcing = ForcingState()

    var isHealed = false
    var healedAt = 0
    var primaryAt: Int?
    var wholeAt: Int?

    /// By epoch: the end of the last byte that was confirmed, or shown to clients, and must never be lost.
    var exposed: [SimulatedLog.Piece] = []
    /// The changes of phase that any member went through.
    var steps: Set<PhaseStep> = []
    /// When the last of it was.
    var exposedAt: [UInt64: Int] = [:]
    var confirmed = 0
    var confirmedAt: Int?
    var longestGap = 0
    var violation: Violation?
    var keepsTrace: Bool
    var trace: [String] = []

    /// - Parameter keepsTrace: slow; for a run that is known to fail.
    public convenience init(_ scenario: ClusterScenario, keepsTrace: Bool = false) {
        self.init(scenario, breakage: nil, keepsTrace: keepsTrace)
    }

    package init(_ scenario: ClusterScenario, breakage: Breakage?, keepsTrace: Bool = false) {
        self.scenario = scenario
        self.breakage = breakage
        self.keepsTrace = keepsTrace
        knowsMajority = scenario.knowsMajority ?? scenario.seed.isMultiple(of: 2)
        timings = FailoverTimings()
        random = SplitMix64(seed: scenario.seed)
        let kinds = scenario.faults + scenario.script.map(\.fault)
        let comers = kinds.contains(.addMember) || kinds.contains(.replaceMember) ? Self.comersMax : 0
        let names = (1...scenario.members + comers).compactMap { try? MemberName("m\($0)") }
        store = SimulatedStore(members: Array(names.prefix(scenario.members)))
        members = names.map { SimulatedMember(name: $0) }
        for comer in scenario.members..<names.count { members[comer].isMade = false }
        cuts = Array(repeating: Array(repeating: 0, count: names.count + 1), count: names.count + 1)
        delays = cuts
        beatCuts = cuts
        beatLossPercent = random.choose([0, 0, 1, 10])
        beatRepeatPercent = random.choose([0, 0, 2, 20])
        keepsCutBeats = random.chance(30)
        disksToLose = scenario.members / 2
        // Few kinds of fault in a run find more than all in each.
        var chosen: [ClusterScenario.Fault] = []
        let count = random.pick(1, 5)
        if !scenario.faults.isEmpty { for _ in 0..<count { chosen.append(random.choose(scenario.faults)) } }
        faults = chosen
        pace = random.pick(500, 5000)
        let older = scenario.olderMembers ?? (!faults.isEmpty && random.chance(20) ? random.pick(1, names.count) : 0)
        let isBeforeBeats = random.chance(50)
        for member in names.count - older..<names.count {
            members[member].knowsCalls = false
            members[member].knowsBeats = !isBeforeBeats
            members[member].saysHeard = false
            members[member].hostTakesWord = false
            members[member].knowsMajority = false
        }
        for member in members.indices where !knowsMajority { members[member].knowsMajority = false }
        layOut()
    }

    private func layOut() {
        let places = members.count + 1
        for from in 0..<places {
            for to in 0..<from {
                let delay = random.pick(200, random.chance(50) ? 5000 : 60_000)
                delays[from][to] = delay
                delays[to][from] = delay
            }
        }
        for member in members.indices where members[member].isMade {
            schedule(.start(member), after: random.pick(0, 500) * Self.millisecond)
        }
        schedule(.client, after: Self.second)
        schedule(.fault, after: random.pick(3, 9) * Self.second)
        for scripted in scenario.script { schedule(.scripted(scripted), after: scripted.atSeconds * Self.second) }
        schedule(.inspect, after: scenario.chaosSeconds * Self.second)
        if let forcing = scenario.forcing { schedule(.force, after: forcing.atSeconds * Self.second) }
    }

    public func run() -> ClusterRun {
        while violation == nil, wholeAt == nil, let next = heap.popMin() {
            time = next.time
            events += 1
            handle(next.occurrence)
        }
        return ClusterRun(
            scenario: scenario, violation: violation, epochs: store.view.rule?.epoch.number ?? 0, confirmed: confirmed,
            longestGapSeconds: Double(longestGap) / 1e6, events: events, restartingAtOnce: restartingAtOnce,
            restarted: store.view.rule?.restart?.done.count ?? 0, recoveries: recoveries.offered,
            recoveriesRefused: recoveries.refused, secondsToForce: forcing.secondsToForce,
            secondsToWrite: forcing.secondsToWrite, hasLost: forcing.hasLost, changes: store.view.rule?.changes ?? 0,
            isMarked: store.view.rule?.majority == true,
            secondsToPrimary: primaryAt.map { Double($0 - healedAt) / 1e6 },
            secondsToWhole: wholeAt.map { Double($0 - healedAt) / 1e6 }, trace: trace,
            steps: steps)
    }

    private func handle(_ occurrence: Occurrence) {
        switch occurrence {
        case .wake(let member, let life): wake(member, life)
        case .toCore(let member, let life, let event):
            if members[member].life == life { tell(member, event) }
        case .request(let member, let life, let request, let answerBy, let isLost):
            arrive(request, from: member, life: life, answerBy: answerBy, isLost: isLost)
        case .watch(let member, let life, let view): showWatch(member, life, view)
        case .stage(let member, let token): stage(member, token)
        case .readNames(let leader, let life, let process): readNames(leader, life, process)
        case .goByNames(let leader, let life, let process, let number): goByNames(leader, life, process, number)
        case .observe(let member, let life): observe(member, life)
        case .datagram(let member, let from, let datagram, let sentAt):
            receive(datagram, on: member, from: from, sentAt: sentAt)
        case .connect(let member, let life): connect(member, life)
        case .deliver(let member, let stream, let log): deliver(member, stream, log)
        case .acknowledge(let leader, let life, let from, let end, let sentAt, let retries):
            acknowledge(leader, life, from, end, sentAt, retries)
        case .client: writeAsClient()
        case .fault: strike()
        case .scripted(let scripted):
            let leader =
                members.indices.first {
                    members[$0].isMade && (members[$0].name == store.view.rule?.leader) != scripted.isOnStandby
                } ?? 0
            apply(scripted.fault, to: leader, for: scripted.forSeconds * Self.second)
        case .repair(let repair): mend(repair)
        case .thaw(let member): thaw(member)
        case .start(let member): startMachine(member)
        case .inspect: inspect()
        case .destroy(let member): destroy(member)
        case .stall(let member): stall(member)
        case .volume(let member): lookAtVolume(of: member)
        case .force: force()
        }
    }

    func schedule(_ occurrence: Occurrence, after delay: Int) {
        order += 1
        heap.insert(Timed(time: time + max(delay, 1), order: order, occurrence: occurrence))
    }

    func moment(of member: Int) -> Moment {
        Moment(sinceBoot: .microseconds(time + members[member].clockAhead + Self.second))
    }

    var storePlace: Int { members.count }

    /// In milliseconds, the same everywhere.
    var wallClock: Int64 { Int64(time / Self.millisecond) }

    func isOpen(_ from: Int, _ to: Int) -> Bool { cuts[from][to] == 0 }

    /// How long a message takes, now and then much longer.
    func delay(_ from: Int, _ to: Int) -> Int {
        var base = delays[from][to] + random.pick(0, 2000)
        if from < members.count { base *= members[from].slowness }
        return random.chance(1) ? base + random.pick(0, 800) * Self.millisecond : base
    }

    func note(_ text: @autoclosure () -> String) {
        guard keepsTrace, trace.count < Self.traceLinesMax else { return }
        let seconds = Double(time / 1000) / 1000
        trace.append("\(seconds)\t\(text())")
    }

    func fail(_ what: String) {
        guard violation == nil else { return }
        violation = Violation(what: what, atSeconds: Double(time / 1000) / 1000)
        note("VIOLATION: \(what)")
    }
}
