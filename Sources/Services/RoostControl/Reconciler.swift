public import RoostModel
public import RoostPlanet
public import RoostPlans
public import RoostStore

/// One kind of thing that is kept what it is to be: what there is, what a plan for it looks like, and how a step is
/// carried out. Deciding is a pure function of the planet; doing is the runner's and the steps' business.
public protocol Reconciler: Sendable {
    associatedtype Thing: Hashable & Sendable & Comparable & CustomStringConvertible
    associatedtype Step: Hashable & Sendable

    /// What this kind is called where steps are counted: `cluster`.
    static var name: String { get }

    /// What a step is called where steps are counted, whatever it is done to: `place`.
    static func name(of step: Step) -> String

    /// All that ``name(of:)`` says.
    static var stepNames: [String] { get }

    /// What a step did, for people: `placed orders-1 on ams1`.
    static func words(for step: Step) -> String

    /// The operation that the work on the thing is a part of; nil where nobody asked for it.
    func operation(on thing: Thing, in planet: Planet) -> PlanetOperationID?

    /// The things of this kind that the planet knows.
    func things(in planet: Planet) -> [Thing]

    /// Changes that can concern a thing of this kind. Cheap: asked of every change, of every heartbeat too.
    static func heeds(_ change: PlanetChange) -> Bool

    /// Whose plan a change can alter.
    func concern(of change: PlanetChange, in planet: Planet) -> Concern<Thing>

    /// Takes in what no change of the planet tells: that time passes, and which hosts answer. Asked once a second while this
    /// host has the duty and hears the store.
    ///
    /// - Returns: the things whose plan may be another one by that.
    func watch(in planet: Planet, reachable: Set<HostName>) -> Set<Thing>

    /// What ``watch(in:reachable:)`` has seen says nothing any more.
    func forgetWatch()

    /// The plan for one thing; nil when the planet does not know it any more.
    func plan(for thing: Thing, in planet: Planet, reachable: Set<HostName>) -> Plan<Step>?

    /// Carries a step out. It may be cut off at any instruction and is then planned again. Every change of the store
    /// carries the fence, and compares what the plan rested on.
    ///
    /// - Returns: whether it was done: of one that was not, because what the plan rested on is not so any more, nobody is told
    ///   that it was.
    @discardableResult
    func carryOut(
        _ step: Step, for thing: Thing, in planet: Planet, fence: Transaction.Compare
    ) async throws(Refusal) -> Bool

    /// Writes down what is in the way of the thing for people to read, or that nothing is.
    ///
    /// - Parameter failed: the steps that could not be carried out.
    func note(_ obstacle: String?, failed: [Step], on thing: Thing, in planet: Planet, fence: Transaction.Compare)
        async throws(Refusal)

    /// What is written down already, so that nothing is written twice.
    func noted(on thing: Thing, in planet: Planet) -> String?
}

extension Reconciler {
    /// Time alone changes nothing.
    public func watch(in planet: Planet, reachable: Set<HostName>) -> Set<Thing> { [] }

    public func forgetWatch() {}
}
