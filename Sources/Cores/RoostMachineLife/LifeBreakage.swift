/// Wrong rules, for tests that show that the simulation notices them. No program sets one.
package enum LifeBreakage: String, Hashable, Sendable, CaseIterable {
    /// A start that comes while the machine is being stopped is confirmed and forgotten.
    case forgetsStartWhileEnding
    /// The end of a process is judged by the restart policy although it was ordered.
    case countsOrderedEnds
    /// A look that shows a running process makes it started, whatever was ordered since.
    case overwritesOrders
    /// A launch that failed is tried again, whatever was ordered since.
    case launchesWhateverWasOrdered
    /// A process that ignores its stop signal is waited for without an end.
    case neverKills
    /// Whatever ends, nothing is cleared away before the next launch.
    case launchesOverRemains
    /// An end is told each time it is seen.
    case tellsEndsTwice
    /// An order that comes during a step is not heard.
    case missesCalls
    /// A step goes on, whatever was ordered since.
    case finishesEveryStep
    /// After a failed step nothing is tried any more.
    case givesUpAfterFailure
}
