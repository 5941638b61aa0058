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
    /// Removes its data before it has a copy, without asking anybody.
    case discardsWithoutLeave
    /// Takes a Postgres that does not start for data that is bad.
    case givesUpWhatDoesNotStart
    /// Takes every byte of its log for one that a leader wrote.
    case trustsForeignBytes
    /// Does not look whether its standby is one.
    case ignoresStrayPrimary
    /// Says that its Postgres has stopped when it begins to stop it.
    case saysStoppedEarly
    /// Looks at its log after it has stopped its Postgres, before it has asked for a successor.
    case staysAfterResigning
    /// Does not notice that the store has gone back.
    case trustsRestoredStore
    /// Takes no answer of a store that has gone back.
    case dropsOlderReads
    /// Counts the answer of a leader that has lost part of its own log.
    case believesShortLeader
    /// Follows with what is left of a log that lost part.
    case followsAfterLoss
    /// Gives up what it has before it has reached whom it takes it back to.
    case rewindsUntried
    /// Replaces what its leader has lost by a copy of that leader.
    case trustsShortLeader
    /// Lets readers in for as long as its Postgres runs.
    case servesWithoutStream
    /// Leads for as long as its Postgres takes to recover.
    case keepsOfficeWhileDown
    /// Makes way when nobody streams, whatever they are at and whoever could do better.
    case resignsWhenAlone
    /// Waits for a Postgres that answers nothing.
    case leavesSilentStandby
    /// Leads for as long as its disk hangs.
    case keepsOfficeWhileHung
    /// Starts its Postgres anew whoever else is at it, and whoever streams.
    case restartsTogether
    /// Calls for another leader, or asks for one, whatever somebody has said about maintenance.
    case ignoresPause
    /// Names or drops a member that makes their number even before its Postgres asks for more.
    case namesUnprepared
    /// Does so as soon as its Postgres asks for more, whatever was confirmed before.
    case namesUnproven
    /// Has its Postgres ask for less before the rule does.
    case asksLessFirst
    /// Goes on although its Postgres has not followed the step before.
    case stepsAhead
    /// Answers for a direct call before its promise is on disk.
    case promisesInMemory
    /// Counts what a member has said directly in answer to another recruitment, or long ago.
    case countsForeignAnswers
    /// Decides by the rule that members were called under, whatever it has become.
    case decidesOnMovedRule
    /// Takes what others said at any time for what they say now, and holds its lease by that.
    case heedsOldWords
    /// Holds its lease by the word of one member fewer than no election can do without.
    case heedsOneTooFew
    /// Holds its lease also by the word of those that have promised a later epoch.
    case heedsThePromised
    /// Calls, and promises, although the store does not answer.
    case callsWithoutStore
    /// Has members decide as ever where a person has said who leads.
    case electsPastForce
    /// Says how it stands to a leader with which it was given up.
    case vouchesAside
    /// Takes a step of the members although too few have written down the one before.
    case stepsUnwritten
    /// Holds its lease by the store's word, whatever has become of the members that it needs.
    case heedsTheStoreAlone
    /// Votes for whoever asks, however often.
    case votesTwice
    /// Leads by the votes of half of the members.
    case countsTooFewVotes
    /// Takes so many answers for enough, whatever a person has decided to keep.
    case forgetsForced
    /// Goes by elections and decisions of members among whom it may be no more.
    case heedsLaterMembers
}
