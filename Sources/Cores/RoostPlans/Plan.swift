/// What has to happen next so that a thing becomes what it is to be, as far as the plan's view of the world goes.
///
/// The steps do not depend on each other: they may be carried out at once and in any order. What can only follow one of
/// them is in the next plan, which is made from the world as it is then. So a step that was cut off is simply planned
/// again, and nothing has to be remembered between two plans.
public struct Plan<Step: Hashable & Sendable>: Hashable, Sendable {
    public var steps: [Step]
    /// What is in the way and no step of ours can change, for people to read.
    public var obstacles: [String]

    public init(steps: [Step] = [], obstacles: [String] = []) {
        self.steps = steps
        self.obstacles = obstacles
    }

    /// Nothing to do and nothing in the way: the thing is what it is to be.
    public var isDone: Bool { steps.isEmpty && obstacles.isEmpty }
}
