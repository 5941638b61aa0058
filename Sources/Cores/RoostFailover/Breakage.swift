/// Wrong rules, for tests that show that the simulation notices them. No program sets one.
package enum Breakage: String, Hashable, Sendable, CaseIterable {
    /// Promotes the member whose log is shortest.
    case promotesLeastAdvanced
    /// Decides with one standby fewer than needed.
    case recruitsOneTooFew
    /// Opens as soon as Postgres runs.
    case opensUnconfirmed
    /// Takes the new history as its own before looking whether its log fits.
    case adoptsUnseen
    /// Reports the epoch it promised instead of that of its last byte.
    case reportsPromisedEpoch
    /// Answers a recruitment while it still follows.
    case answersBeforeFence
}
