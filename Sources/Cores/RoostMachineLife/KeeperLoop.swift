public import RoostModel

/// One machine's keeper: it asks the machine's life what to do, has it done, and asks again. An order is never missed:
/// each has a number, and the life's answer says which orders it already knows.
///
///     asking ──told──▶ doing ──done──▶ asking
///                        └──failed──▶ (a pause, which is a step too) ──▶ asking
public struct KeeperLoop: Sendable {
    public enum Event: Sendable {
        /// The machine's orders up to this one are written down.
        case called(order: UInt64)
        /// The life's answer, and the newest order that it knows.
        case told(MachineStep, order: UInt64)
        /// The life could not be asked, or its change not be written down.
        case notTold
        /// The step has come to this.
        case done(MachineFinding)
        /// The step could not be done, or was broken off.
        case failed
    }

    public enum Action: Hashable, Sendable {
        /// Tell the life what was found, write its change down; then ``Event/told(_:order:)`` or ``Event/notTold``.
        case ask(MachineFinding)
        /// Take the step; then ``Event/done(_:)`` or ``Event/failed``.
        case take(MachineStep)
        /// Break the step off; it still ends with ``Event/done(_:)`` or ``Event/failed``.
        case breakOff
        /// Nothing is left to do.
        case end
    }

    private enum Activity {
        /// Becomes `taking`, or `ended` when the machine is gone.
        case asking
        /// Becomes `asking`; after a failure `taking` of a pause.
        case taking(MachineStep, isBrokenOff: Bool)
        /// Becomes nothing.
        case ended
    }

    private var activity = Activity.asking
    private var newestOrder: UInt64 = 0
    private var knownOrder: UInt64 = 0
    private var pause = pauseFirst
    package var breakage: LifeBreakage?

    /// Between tries after an error of the host itself (disk, runtime).
    public static let pauseFirst = Duration.milliseconds(200)
    public static let pauseMax = Duration.seconds(15)

    public init() {}

    /// The first action of every keeper.
    public mutating func begin() -> Action { .ask(.nothing) }

    public mutating func handle(_ event: Event, at now: Moment) -> Action? {
        switch event {
        case .called(let order):
            newestOrder = max(newestOrder, order)
            return breakage == .missesCalls ? nil : breakOffIfOutdated()
        case .told(.gone, _):
            activity = .ended
            return .end
        case .told(let step, let order):
            knownOrder = max(knownOrder, order)
            activity = .taking(step, isBrokenOff: false)
            // Ordered while the life was being asked: the step would be broken off at once.
            if step.isInterruptible, newestOrder > knownOrder, breakage != .missesCalls, breakage != .finishesEveryStep
            {
                activity = .asking
                return .ask(.nothing)
            }
            return .take(step)
        case .notTold: return rest(at: now)
        case .done(let finding):
            if case .taking(let step, _) = activity, step.isProgress { pause = Self.pauseFirst }
            activity = .asking
            return .ask(finding)
        case .failed:
            if case .taking(_, isBrokenOff: true) = activity {
                activity = .asking
                return .ask(.nothing)
            }
            return rest(at: now)
        }
    }

    private mutating func breakOffIfOutdated() -> Action? {
        guard case .taking(let step, isBrokenOff: false) = activity, step.isInterruptible,
            newestOrder > knownOrder, breakage != .finishesEveryStep
        else { return nil }
        activity = .taking(step, isBrokenOff: true)
        return .breakOff
    }

    private mutating func rest(at now: Moment) -> Action {
        let step = MachineStep.rest(until: breakage == .givesUpAfterFailure ? nil : now + pause)
        pause = min(pause * 2, Self.pauseMax)
        activity = .taking(step, isBrokenOff: false)
        // An order that came meanwhile does not wait.
        if newestOrder > knownOrder, breakage != .missesCalls {
            knownOrder = newestOrder
            activity = .asking
            return .ask(.nothing)
        }
        return .take(step)
    }
}

extension MachineStep {
    /// Having done it shows that the host works again.
    fileprivate var isProgress: Bool {
        switch self {
        case .launch, .watch, .signal, .kill, .remove, .release, .dismantle: true
        case .look, .rest, .gone: false
        }
    }
}
