#!/usr/bin/env python3
"""Makes the program wrong in one place at a time, and sees that a test turns red.

    scripts/mutate.py            every entry of the table below; builds a copy of its own, in .build/mutations
    scripts/mutate.py fsync gate only those whose description has one of these words
    scripts/mutate.py --check    only whether each entry still names a text that is there once, and a test that is there

A test that cannot fail proves nothing. Each entry is a rule on which what a client was told rests, and the test that must
notice when it is broken. Whoever changes such a place changes its entry too; 'make check' says so. Those of RoostPostgres
start the real Postgres, so they need root and bin/roost-pg ('make mutations' builds it).
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".build/mutations"
FIRST_BUILD_SECONDS_MAX = 3600
BUILD_SECONDS_MAX = 1200
TEST_SECONDS_MAX = 600

CORE = "Sources/Cores/RoostFailover/"
PLANS = "Sources/Cores/RoostPlans/"
READERS = "Sources/Cores/RoostReaders/"
SHELL = "Sources/Adapters/RoostPostgres/"
CONTROL = "Sources/Services/RoostPostgresControl/"


class Mutation(NamedTuple):
    wrong: str
    """What the program does then."""
    path: str
    text: str
    """There once in the file."""
    instead: str
    test: str
    """Suite/function, one that turns red."""


MUTATIONS = [
    # Who leads, and from when on.
    Mutation(
        "a leader that was gone counts as one that was left too soon", CORE + "Hearing.swift",
        "if left.contains(beat.member), gap < timings.patience {", "if left.contains(beat.member) {",
        "HearingDialogueTests/aLeaderThatWasGoneIsNoReasonToWait"),
    Mutation(
        "who has just begun to hear a leader waits as after a gap", CORE + "Hearing.swift",
        "hasStreamed ? timings.heardOpenMin : timings.heardOpenAloneMin", "hasStreamed ? calm : calm",
        "HearingDialogueTests/whoStartedAMomentAgoMissesTheLeaderToo"),
    Mutation(
        "a leader is missed at each gap of its path", CORE + "Hearing.swift",
        "guard let silence = voice.silence, silence.wasOpen, voice.heardAt - silence.endedAt < calm else { return nil }\n"
        "        return .gapBefore(voice.heardAt - silence.endedAt)", "return nil",
        "HearingDialogueTests/afterAGapTheLeaderHasToBeHeardAnew"),
    Mutation(
        "a leader is missed as soon as it leads where others were left too soon", CORE + "Hearing.swift",
        "if isHasty(now, timings) { return heard >= calm ? nil : .leadersLeftTooSoon(calm: calm, heard: heard) }", "",
        "HearingTests/afterOneThatWasLeftTooSoonTheNextHasToLeadForLonger"),
    Mutation(
        "a host that was started anew before it led is taken for one whose path comes and goes", CORE + "Hearing.swift",
        "guard let silence = voice.silence, silence.wasOpen,", "guard let silence = voice.silence,",
        "HearingTests/aSilenceOfBeforeItLedIsNoGap"),
    Mutation(
        "a path that nobody knows yet is taken for a steady one", CORE + "Hearing.swift",
        "saidAfter: after, jitter: timings.beatInterval))", "saidAfter: after, jitter: .zero))",
        "HearingTests/aPathThatIsNotKnownYetIsTakenForABadOne"),
    Mutation(
        "who does not stream yet misses a leader as soon as who does", CORE + "Hearing.swift",
        "hasStreamed ? timings.heardOpenMin : timings.heardOpenAloneMin",
        "hasStreamed ? timings.heardOpenMin : timings.heardOpenMin",
        "HearingDialogueTests/whoStartedAMomentAgoMissesTheLeaderToo"),
    Mutation(
        "a leader's silence counts no sooner than the store's where a cluster has just become whole",
        CORE + "FailoverTimings.swift",
        "heardOpenMin: Duration = .milliseconds(300)", "heardOpenMin: Duration = .seconds(1)",
        "ClusterScenarioTests/leadersThatAreLostInTurnAreEachMissedAtOnce"),
    Mutation(
        "a member does not say why it left a leader late", CORE + "FailoverMember+Hearing.swift",
        "state.promised > $0.epoch && $0.lasted", "state.promised < $0.epoch && $0.lasted",
        "HearingDialogueTests/aMemberSaysWhyASilenceDidNotCount"),
    Mutation(
        "a promotion asks for no confirmations", CORE + "FailoverMember+Leading.swift",
        ".promote(\n                epoch: rule.epoch, confirmations: quorum.confirmations,",
        ".promote(\n                epoch: rule.epoch, confirmations: 0,",
        "LeaderDialogueTests/afterAPromotionOldBytesAreNotEnough"),
    Mutation(
        "a promotion names no standbys", CORE + "FailoverMember+Leading.swift",
        ".promote(\n                epoch: rule.epoch, confirmations: quorum.confirmations, standbys: quorum.standbys,",
        ".promote(\n                epoch: rule.epoch, confirmations: quorum.confirmations, standbys: [],",
        "LeaderDialogueTests/afterAPromotionOldBytesAreNotEnough"),
    Mutation(
        "a restart asks for no confirmations", CORE + "FailoverMember+Leading.swift",
        ".startPrimary(\n                epoch: rule.epoch, confirmations: quorum.confirmations,",
        ".startPrimary(\n                epoch: rule.epoch, confirmations: 0,",
        "LeaderDialogueTests/aReturningLeaderAsksForItsLeaseFirst"),
    Mutation(
        "a member is named without proof of what was confirmed before", CORE + "FailoverMember+Members.swift",
        "quorum.holds(sample.standbys, upTo: required) ||", "quorum.holds(sample.standbys) ||",
        "MembersDialogueTests/aFourthMemberIsNamedAfterPostgresAsksForTwo"),
    Mutation(
        "a member is named before Postgres asks for it", CORE + "FailoverMember+Members.swift",
        "let becomesEven = !rule.members.count.isMultiple(of: 2)", "let becomesEven = false",
        "MembersDialogueTests/aFourthMemberIsNamedAfterPostgresAsksForTwo"),
    Mutation(
        "one that was removed goes on", CORE + "FailoverMember+Members.swift",
        "if rule.members.contains(name) || rule.joining == name { return nil }", "if true { return nil }",
        "MembersDialogueTests/whoIsNoMemberAnyMoreDoesNothing"),
    Mutation(
        "one whose Postgres starts is said to have no data", CORE + "Testimony.swift",
        "case .whole, .replaced: .endUnread", "case .whole, .replaced: .noData",
        "StoreRecoveryTests/thatThereIsNoDataIsTheMembersOwnWord"),
    Mutation(
        "the number of the cluster's data is one leader's word", CORE + "FailoverMember+Leading.swift",
        "guard now - observedAt <= timings.sampleAgeMax, others.holds(sample.standbys) else { return }", "",
        "LeaderDialogueTests/aNumberStaysWhereNobodyElseHasTheData"),
    Mutation(
        "a Postgres that hangs is left for as long as another does not start", CORE + "FailoverMember+Silent.swift",
        "guard now < silenceEnds(rule) + timings.comingMax else { return false }", "",
        "HangDialogueTests/aStartThatComesToNothingIsWaitedForSoLong"),
    Mutation(
        "data is given up in place while another holds its own back", CORE + "FailoverMember+Replacing.swift",
        "guard position == nil || state == .failed else", "guard position == nil else",
        "ReplacementDialogueTests/oneInQuarantineIsNoCopyToCountOn"),
    Mutation(
        "a leader stands down for more than a standby says that it has", CORE + "RecruitmentTally.swift",
        "return min(replayed, position.end)", "return replayed",
        "LostLogDialogueTests/moreReplayedThanThereIsProvesNothing"),
    Mutation(
        "one whose volume has no room to start is chosen", CORE + "FailoverMember+Reports.swift",
        "|| !isUp || lacksRoomToStart)", "|| !isUp)", "DirectDialogueTests/whoHasNoRoomToStartIsNotChosen"),
    Mutation(
        "a direct answer goes beyond any log", CORE + "DirectCall.swift",
        "end < .limit, replayed <= end,", "replayed <= end,", "DirectAnswerTests/whatCannotBeIsNone"),
    Mutation(
        "a direct answer has replayed more than it has", CORE + "DirectCall.swift",
        "end < .limit, replayed <= end,", "end < .limit,", "DirectAnswerTests/whatCannotBeIsNone"),
    Mutation(
        "a direct answer has a timeline after which none can be named", CORE + "DirectCall.swift",
        ", timeline < ClusterRule.timelineMax", "", "DirectAnswerTests/whatCannotBeIsNone"),
    Mutation(
        "a direct answer names more reigns than there are", CORE + "DirectCall.swift",
        "reigns <= history.count, ", "", "DirectAnswerTests/whatCannotBeIsNone"),
    # What a host takes from a member.
    Mutation(
        "a machine that is not the member's changes the rule", CONTROL + "MemberRoutes.swift",
        "try await checkPlace()\n        let former =", "let former =", "MemberRoutesTests/anotherMachine"),
    Mutation(
        "a machine that is not the member's renews its lease", CONTROL + "MemberRoutes.swift",
        "try await checkPlace()\n        let known =", "let known =", "MemberRoutesTests/anotherMachine"),
    Mutation(
        "a machine that is not the member's opens the gate", CONTROL + "MemberRoutes.swift",
        "if wish.isOpen { try await checkMembership() }", "", "MemberRoutesTests/anotherMachine"),
    Mutation(
        "one that was removed, or only joins, opens its gate", CONTROL + "MemberRoutes.swift",
        "guard try await store.isReader() else {", "guard true else {", "MemberRoutesTests/noMember"),
    Mutation(
        "a machine that is not the member's reports for it", CONTROL + "MemberStore.swift",
        "let isPlaced = try await isPlaced()\n", "let isPlaced = true\n", "MemberRoutesTests/anotherMachine"),
    Mutation(
        "who says that it has stopped is heard only if all that it says is in bounds", CONTROL + "MemberRoutes.swift",
        "        warden.noteReport(report, by: caller.machine)\n        try MemberBounds.check(report, of: caller.cluster)\n",
        "        try MemberBounds.check(report, of: caller.cluster)\n        warden.noteReport(report, by: caller.machine)\n",
        "MemberRoutesTests/stopped"),
    Mutation(
        "an edge believes any epoch that a host tells it", CONTROL + "LeaderNews.swift",
        "|| rule.mayElect(told.epoch)", "|| told.epoch > rule.epoch",
        "LeaderNewsTests/laterCounts"),
    Mutation(
        "an edge believes any host", CONTROL + "LeaderNews.swift",
        "guard let placement = known.placements[beat.leader], placement.host == host else",
        "guard known.placements[beat.leader] != nil else",
        "LeaderNewsTests/onlyItsHost"),
    Mutation(
        "an edge does not go by what it was told", CONTROL + "EdgeRouting.swift",
        "for await _ in news.told { reason.yield() }", "for await _ in news.told {}",
        "LeaderNewsTests/toldAtOnce"),
    Mutation(
        "every machine is taken for the member's", CONTROL + "MemberStore.swift",
        "guard placement.machine == caller.machine else { throw Self.foreign(caller, placement) }", "",
        "MemberRoutesTests/anotherMachine"),
    Mutation(
        "one that no place names is heard", CONTROL + "MemberStore.swift",
        "?.record else { return false }", "?.record else { return true }", "MemberRoutesTests/withoutPlace"),
    Mutation(
        "a leader alone decides where more than half have to", CORE + "DecisionQuorum.swift",
        "majority == true ? members.count / 2 + 1 : 1", "1", "MajorityTests/tooFew"),
    Mutation(
        "half of an even number decide where more than half have to", CORE + "DecisionQuorum.swift",
        "majority == true ? members.count / 2 + 1 : 1", "majority == true ? (members.count + 1) / 2 : 1",
        "MajorityTests/intersect"),
    Mutation(
        "a step of the members is taken that half of them have not seen the last of", CORE + "FailoverMember+Members.swift",
        "return knowing * 2 > members.count", "return knowing * 2 >= members.count", "MajorityTests/steps"),
    Mutation(
        "a member votes twice in an epoch", CORE + "FailoverMember+Votes.swift",
        "mayVoteAgain || state.vote?.epoch ?? .none < state.promised", "mayVoteAgain || true",
        "VotesDialogueTests/voter"),
    Mutation(
        "less than half of the votes decide", CORE + "FailoverMember+Votes.swift",
        "candidacy.members.count / 2 + (", "candidacy.members.count / 2 - 1 + (", "VotesDialogueTests/candidate"),
    Mutation(
        "a member votes for one that has less than itself", CORE + "FailoverMember+Votes.swift",
        "return position < own", "return false", "VotesDialogueTests/voter"),
    Mutation(
        "a step counts as seen by one that may have voted before it saw it", CORE + "FailoverMember+Members.swift",
        "report?.promised == rule.epoch && report?", "report?", "MajorityTests/steps"),
    Mutation(
        "nobody hears of a decision where the history is full", CORE + "MemberDecision.swift",
        "for dropped in 0...tail.count where", "for dropped in 0...0 where", "VotesDialogueTests/longHistory"),
    Mutation(
        "a call names one that has left", CORE + "FailoverMember+Recruitment.swift",
        "let target = switchover.target, members.contains(target) else {", "let target = switchover.target else {",
        "FollowerDialogueTests/aCallNamesNobodyWhoIsNoMember"),
    Mutation(
        "one is chosen by members of before those that voters know", CORE + "FailoverMember+Votes.swift",
        "voice.beat.changes ?? 0 >= state.membership?.changes ?? 0", "true", "VotesDialogueTests/olderMembers"),
    Mutation(
        "what a person has decided to keep is lost with the next leader", CORE + "RecruitmentTally.swift",
        "report.position.map { $0 >= kept } ?? false", "true", "RecruitmentTallyTests/keptByForce"),
    Mutation(
        "a leader that members have chosen unheard of a person's decision proves that the store went back",
        CORE + "ForcedElection.swift", "epoch > formerEpoch && epoch < self.epoch", "false && epoch < self.epoch",
        "ForcedElectionTests/endsVotes"),
    Mutation(
        "who has come to a later election is waited for in the store's", CORE + "RecruitmentTally.swift",
        "guard majority == true, forcedCall == nil else { return self }", "guard false else { return self }",
        "ForcedElectionTests/laterElections"),
    Mutation(
        "half of those that vote do without what their leader has", CORE + "RecruitmentTally.swift",
        "standbys.count >= logsNeeded", "standbys.count >= standbysNeeded", "RecruitmentTallyTests/halfBesideTheLeader"),
    Mutation(
        "one that was given up goes by what those that are left decide", CORE + "FailoverMember+Votes.swift",
        "beat.forced ?? .none <= view?.rule?.forced?.epoch ?? .none", "true", "VotesDialogueTests/laterMembers"),
    Mutation(
        "a member with a new disk votes as if it had never voted", CORE + "FailoverMember+Votes.swift",
        "save { $0.vote = Ballot(epoch: greatest, member: nil) }", "", "VotesDialogueTests/newDisk"),
    Mutation(
        "what was decided is put into a store that has gone back", CORE + "MemberDecision.swift",
        "stored.epoch >= base, ", "", "VotesDialogueTests/goneBack"),
    Mutation(
        "the store renews a lease that is the members'", CORE + "FailoverMember+Store.swift",
        "guard !leaseIsTheMembers else { return }", "",
        "VouchedDialogueTests/theStoreAloneDoesNotRenewItWhereMoreThanHalfDecide"),
    Mutation(
        "that more than half have to decide is taken back", CORE + "UnlawfulChange.swift",
        "if next.majority == true { lawful.majority = true }\n        // What was refused",
        "lawful.majority = next.majority\n        // What was refused", "MajorityTests/law"),
    Mutation(
        "a member makes of the rule what it likes", CONTROL + "MemberRoutes.swift",
        "try await check(wish.rule, over: former?.rule)\n", "\n", "MemberRoutesTests/overAnOlderRule"),
    Mutation(
        "an election is measured by another rule than the one it replaces", CONTROL + "MemberStore.swift",
        "state.rules.first { $0.revision == revision } : nil",
        "state.rules.last.map { KnownRule(rule: $0.rule, revision: revision) } : nil",
        "MemberRoutesTests/overAnOlderRule"),
    Mutation(
        "a rule is known that a store had which has gone back", CONTROL + "MemberStore.swift",
        "if state.listing != listing || (state.rules.last?.revision ?? 0) > rule.revision {",
        "if state.listing != listing {", "MemberRoutesTests/noted"),
    Mutation(
        "a lease is renewed by one that does not lead", CONTROL + "MemberRoutes.swift",
        "known.rule.leader == caller.member, known.rule.epoch", "known.rule.epoch",
        "MemberRoutesTests/speakingForOthers"),
    Mutation(
        "what a newer version reads in a rule is a member's to write", CORE + "UnlawfulChange.swift",
        "guard isIdentical(to: lawful) else {", "guard self == lawful else {",
        "UnlawfulChangeTests/fieldsOfANewerVersion"),
    Mutation(
        "a leader's own word for a store that went back is believed", CORE + "UnlawfulChange.swift",
        "if other.refusal != MemberChange.refusalOfLostStore { lawful", "do { lawful", "UnlawfulChangeTests/wishes"),
    Mutation(
        "an answer counts of which no lawful rule can be made", CORE + "RecruitmentTally.swift",
        "= breakage == nil ? said : []", "= false ? said : []", "RecruitmentTallyTests/answersThatCannotBe"),
    Mutation(
        "a leader's timeline is what somebody says", CORE + "Succession.swift",
        "next.timeline = self.timeline(after: reigns) ?? ", "next.timeline = ", "UnlawfulChangeTests/timelines"),
    Mutation(
        "members' words use up the numbers of members", CONTROL + "ClusterRecords+Members.swift",
        "min(Self.numbersToldMax, max(left, 0) / 2)", "max(left, 0)", "MembersTests/numbersThatSomebodyMadeUp"),
    Mutation(
        "a new cluster gets names of machines that are there", CONTROL + "ClusterDirectory.swift",
        "members(of: order, after: former)", "members(of: order, after: 0)", "MembersTests/numbersOfAFormerCluster"),
    # What a rule is made of whose store went back.
    Mutation(
        "half of the members put a rule right", CORE + "Testimony.swift",
        "present.members.count / 2 + 1)", "present.members.count / 2)",
        "StoreRecoveryTests/halfOfAnEvenNumberIsNotEnough"),
    Mutation(
        "whatever a person has decided, what is missing is no proof", CORE + "FailoverMember+Quarantine.swift",
        "forced.lost.contains { $0.isSame(as: reign) }", "true",
        "ForcedElectionTests/reignsThatAreLost"),
    Mutation(
        "what a person has given up is taken for what a store that went back does not have",
        CORE + "FailoverMember+Quarantine.swift",
        "forced.lost.contains { $0.isSame(as: reign) }", "false",
        "ForcedDialogueTests/knowsWhatIsLost"),
    Mutation(
        "the one that a person has named leads while others may confirm for the former leader",
        CORE + "RecruitmentTally.swift",
        "forcedAnswer != nil && !forced.isInTheWay", "forcedAnswer != nil",
        "ForcedElectionTests/underWay"),
    Mutation(
        "a member stays, and follows, whose log was not read", CORE + "ForcedElection.swift",
        "guard report.hasSaidItsEnd, report.state", "guard report.state",
        "ForcedElectionTests/whoStays"),
    Mutation(
        "what another member needs is taken back in place", CORE + "FailoverMember+Replacing.swift",
        "isWorth ? .wait(other) : .inPlace", "isWorth ? .inPlace : .inPlace",
        "ReplacementDialogueTests/aCopyThatALiveMemberLacksIsNotTakenBackInPlace"),
    Mutation(
        "a member is chosen that a person has not named", CORE + "UnlawfulChange.swift",
        "next.leader != forced.member {", "forced.member != forced.member {",
        "ForcedElectionTests/law"),
    Mutation(
        "what a person has given up is destroyed", CONTROL + "ClusterRecords+Members.swift",
        "            .subtracting(givenUp)", "",
        "ForcedFailoverTests/comers"),
    Mutation(
        "what may have been confirmed since is taken back", CORE + "StoreRecovery.swift",
        "beyond.count + unheard <= present.confirmations", "beyond.count <= present.confirmations",
        "StoreRecoveryTests/whatMayHaveBeenConfirmedSinceIsNotTakenBack"),
    Mutation(
        "a leader opens on bytes of the reign before", CORE + "FailoverMember+Leading.swift",
        "sample.flushed > reign.begin", "sample.flushed >= reign.begin",
        "LeaderDialogueTests/afterAPromotionOldBytesAreNotEnough"),
    Mutation(
        "a leader opens when standbys stream, whatever they have", CORE + "FailoverMember+Leading.swift",
        "if quorum.holds(sample.standbys, upTo: required)", "if quorum.holds(sample.standbys)",
        "LeaderDialogueTests/opensOnlyWhenStandbysHaveWhatClientsWouldSee"),
    Mutation(
        "a promotion that began elsewhere leads on", CORE + "FailoverMember+Leading.swift",
        "guard switchPoint == expected else", "guard switchPoint >= expected else",
        "LeaderDialogueTests/aPromotionThatEndedElsewhereIsGivenUp"),
    Mutation(
        "a promotion to another timeline leads on", CORE + "FailoverMember+Leading.swift",
        "guard timeline == parent + 1 else", "guard timeline > parent else",
        "LeaderDialogueTests/aPromotionThatEndedElsewhereIsGivenUp"),
    Mutation(
        "a leader leads by what its host knows, whoever the members are", CORE + "FailoverMember+Vouched.swift",
        "return (rule.changes ?? 0) == (state.membership?.changes ?? 0) && state.asked == nil", "return true",
        "VouchedDialogueTests/aLeaderThatMayHaveOtherMembersWaits"),
    Mutation(
        "a member follows by what its host knows, whatever its disk says", CORE + "FailoverMember+Vouched.swift",
        "let reign = rule.history.last, last.isSame(as: reign),", "rule.history.last != nil, last.epoch > .none,",
        "VouchedDialogueTests/whatTheDiskDoesNotBearOutIsNotBelieved"),
    Mutation(
        "a step of the members is asked for before that is on disk", CORE + "FailoverMember+Members.swift",
        "save { $0.asked = Membership(of: next) }", "_ = next", "VouchedDialogueTests/aStepThatIsAskedForIsOnDiskBefore"),
    Mutation(
        "a word of another process's life shows its age by this one's", CORE + "BeatMark.swift",
        "mark.life == life, mark.number <= last", "mark.number <= last", "BeatMarkTests/whatIsNamedShowsWhenItWasSent"),
    Mutation(
        "a lease counts from its answer", CORE + "FailoverMember+Store.swift",
        "renewed(asOf: beat.askedAt)", "renewed(asOf: max(beat.askedAt, now))",
        "LeaderDialogueTests/theLeaseCountsFromTheSending"),
    Mutation(
        "a Postgres that hangs is waited for a minute", CORE + "FailoverTimings.swift",
        "postgresSilenceMax: Duration = .seconds(10)", "postgresSilenceMax: Duration = .seconds(60)",
        "LeaderDialogueTests/aPostgresThatSaysNothingForTenSecondsIsEnded"),
    Mutation(
        "a Postgres that is slow is ended", CORE + "FailoverTimings.swift",
        "postgresSilenceMax: Duration = .seconds(10)", "postgresSilenceMax: Duration = .seconds(9)",
        "LeaderDialogueTests/aPostgresThatSaysNothingForTenSecondsIsEnded"),
    Mutation(
        "a leader that crashes again and again never makes way", CORE + "FailoverTimings.swift",
        "restartsMax: Int = 3", "restartsMax: Int = 1000",
        "LeaderDialogueTests/aCrashIsClosedAndStartedInPlaceAFewTimes"),
    Mutation(
        "a heartbeat calls a gate open that is not", CORE + "FailoverMember+Store.swift",
        "isOpen: gateIsOpen && gateStands", "isOpen: gateIsOpen",
        "TruthDialogueTests/aGateThatCannotBeOpenedIsNotOpenAndIsSaid"),

    # The recruitment.
    Mutation(
        "a promise comes before the fence", CORE + "FailoverMember+Recruitment.swift",
        "            detail = nil\n            leaveLeader()\n",
        "            detail = nil\n            promise(epoch)\n            leaveLeader()\n",
        "FollowerDialogueTests/aRecruitmentIsAnsweredInThisOrder"),
    Mutation(
        "an answer to another recruitment counts", CORE + "RecruitmentTally.swift",
        "guard promised == recruitment.epoch, let position", "guard promised <= recruitment.epoch, let position",
        "RecruitmentTallyTests/promisesOfOtherEpochsDoNotCount"),
    Mutation(
        "one standby too few decides", CORE + "DecisionQuorum.swift",
        "max(members.count - confirmations, 1)", "max(members.count - confirmations - 1, 1)",
        "RecruitmentTallyTests/fiveMembersNeedThreeStandbys"),
    Mutation(
        "one leads whose Postgres somebody promoted", CORE + "RecruitmentTally.swift",
        "foremost(of: answers.filter { $0.cannotLead != true })", "foremost(of: answers)",
        "RecruitmentTallyTests/oneThatDivergedCountsButDoesNotLead"),

    # What is slow comes to its end, and what hangs is ended.
    Mutation(
        "an operation that was given up for its time has no more the next time", SHELL + "OperationClock.swift",
        "isLate ? .timeIsOver : .byItself", "isLate ? .byItself : .byItself",
        "OperationClockTests/whatWasGivenUpForItsTimeHasTwiceAsLongTheNextTime"),
    Mutation(
        "an operation that was given up for another one has taken too long", SHELL + "OperationClock.swift",
        "guard !Task.isCancelled else {\n            noteEnd(of: operation, .givenUp)",
        "guard !Task.isCancelled else {\n            noteEnd(of: operation, .timeIsOver)",
        "OperationClockTests/whatWasGivenUpForAnotherHasNotTakenTooLong"),
    Mutation(
        "a Postgres that hangs at its start is waited for", SHELL + "OperationClock.swift",
        "return state.start.hangs", "return false", "OperationClockTests/aPostgresThatHangsAtItsStartIsEnded"),
    Mutation(
        "a Postgres that waits for a disk is taken for one that hangs", SHELL + "StartWatch.swift",
        "return stirs ? .alive : .still", "return stirs ? .still : .still",
        "StartWatchTests/whatWaitsForOthersNeitherHangsNorIsAtWork"),
    Mutation(
        "a recovery that gets on is a failure", CORE + "FailoverMember+Postgres.swift",
        "case .recovering(let reason): goesOn(reason, now)", "case .recovering(let reason): failed(reason, now)",
        "LongStartDialogueTests/aLeadersRecoveryIsNeverGivenUpAsLongAsItIsAtWork"),
    Mutation(
        "a member's login is begun anew for each question", SHELL + "PostgresInstance.swift",
        "connectDeadline: Self.controlDeadline, keepsLogin: true)",
        "connectDeadline: Self.controlDeadline, keepsLogin: false)",
        "SlowPostgresTests/theSupervisorsQuestionsKeepTheirLoginsAndHaveTwiceAsLong"),
    Mutation(
        "a question that was not answered in time has no more the next time", SHELL + "AnswerPatience.swift",
        "            patience.note(error)\n", "            _ = error\n",
        "SlowPostgresTests/theSupervisorsQuestionsKeepTheirLoginsAndHaveTwiceAsLong"),
    Mutation(
        "a session that is to be new is begun anew for each question", SHELL + "FreshSession.swift",
        "if !isBegun { await", "if !isBegun || isBegun { await",
        "SlowPostgresTests/aLoginThatIsToBeNewGoesOnFromQuestionToQuestion"),
    Mutation(
        "a stop is done with processes of Postgres left", SHELL + "PostgresInstance+Process.swift",
        "        try await endRemains()\n        // What is left of its files", "        // What is left of its files",
        "HangTests/nobodySaysThatAPostgresHasEndedAsLongAsAProcessOfItIsLeft"),

    # What Postgres is told.
    Mutation(
        "fsync is off", SHELL + "PostgresSettings.swift", '("fsync", "on")', '("fsync", "off")',
        "ConfigurationTests/ofALeader"),
    Mutation(
        "full_page_writes is off", SHELL + "PostgresSettings.swift",
        '("full_page_writes", "on")', '("full_page_writes", "off")', "ConfigurationTests/ofALeader"),
    Mutation(
        "synchronous_commit is local", SHELL + "PostgresSettings.swift",
        '("synchronous_commit", "on")', '("synchronous_commit", "local")', "ConfigurationTests/ofALeader"),
    Mutation(
        "a Postgres that crashed opens by itself", SHELL + "PostgresSettings.swift",
        '("restart_after_crash", "off")', '("restart_after_crash", "on")', "ConfigurationTests/ofALeader"),
    Mutation(
        "a standby that somebody promotes confirms by itself", SHELL + "PostgresSettings.swift",
        '("synchronous_standby_names", Self.nobodysNames)', '("synchronous_standby_names", "")',
        "ConfigurationTests/ofAStandbyThatFollowsNobody"),
    Mutation(
        "a rule with more confirmations than standbys asks for none", SHELL + "PostgresSettings.swift",
        r'names.isEmpty ? "\"\(Self.nobody)\"" : names', 'names',
        "ConfigurationTests/whoConfirms"),

    # What is done to the real Postgres.
    Mutation(
        "a promoted Postgres confirms by itself", SHELL + "Operations.swift",
        "try await configure(role)\n        if case .refusesLogin(let why) = try await instance.reception",
        "try await configure(.leader(epoch: .first, standbys: [], confirmations: 0))\n"
        "        if case .refusesLogin(let why) = try await instance.reception",
        "OperationTests/commitsWaitForThoseWhomTheRuleNames"),
    Mutation(
        "nobody looks whether commits wait at all", SHELL + "PostgresInstance+Confirming.swift",
        "if wasAlone { try await proveThatCommitsWait(until: end) }", "",
        "ConfirmingTests/aLoneLeaderGoesOnUntilItsCommitsAreSeenToWait"),
    Mutation(
        "nobody looks who is counted before others are named", SHELL + "PostgresInstance+Confirming.swift",
        "if proof.isWhole { return true }", "if proof.doubted != nil { return true }",
        "ConfirmingTests/nobodyCountsBeforeTheNextNamesAreWritten"),
    Mutation(
        "an attempt that failed leaves commits waiting", SHELL + "PostgresInstance+Confirming.swift",
        "await confirmAgain(by: former, next, secrets)\n", "",
        "ConfirmingTests/nobodyCountsBeforeTheNextNamesAreWritten"),
    Mutation(
        "what a process shows while it reads is proof", SHELL + "BarrierProof.swift",
        "rested.contains(process.id) && process.countsNot", "process.countsNot",
        "BarrierProofTests/whatWasShownBeforeItRestedIsNoProof"),
    # The bytes that a relay hands out from the member's own disk.
    Mutation(
        "a log of any earlier timeline stands for the leader's", SHELL + "Operations+Relay.swift",
        "end.timeline &+ 1 == fork.timeline", "end.timeline < fork.timeline",
        "UpstreamTests/aLogOfAnotherTimelineProvesNothing"),
    Mutation(
        "a log behind the fork stands for the leader's", SHELL + "Operations+Relay.swift",
        "end.timeline &+ 1 == fork.timeline, end.end <= fork.begin {", "end.timeline &+ 1 == fork.timeline {",
        "UpstreamTests/whatIsBehindTheForkProvesNothing"),
    Mutation(
        "what a stream has brought counts for the next following too", "Sources/Adapters/RoostRelay/RelayDesk.swift",
        "            grown = nil\n", "", "NearSideTests/following"),
    Mutation(
        "a preparation counts from its proof", CORE + "FailoverMember+Members.swift",
        "            if isOver { return takeBack(rule, now) }\n", "",
        "MembersDialogueTests/aPreparationIsTakenBackAlsoWhenPostgresCannotFollow"),
    Mutation(
        "slots of an epoch that is over stay", SHELL + "ReplicationSlots.swift",
        'if wanted.contains(name), row[1] != "lost" {', 'if row[1] != "lost" {',
        "OperationTests/commitsWaitForThoseWhomTheRuleNames"),
    Mutation(
        "the end is read before all is replayed", SHELL + "PostgresInstance+Following.swift",
        "if recovery.isComplete { return recovery.replayed }", "if recovery.isInRecovery { return recovery.replayed }",
        "OperationTests/theEndIsThatOfWhatWasReceivedNotOfWhatWasReplayed"),
    Mutation(
        "a file that others have changed is left alone", SHELL + "PostgresLayout.swift",
        "try DurableFile.read(outside(path)) == Array(text.utf8)", "facts.st_nlink > 0",
        "OperationTests/filesThatAreOtherThanTheyShouldBeAreWritten"),
    Mutation(
        "a file that is right is written again", SHELL + "PostgresLayout.swift",
        "facts.st_mode == S_IFREG | mode", "facts.st_mode == mode",
        "OperationTests/filesThatAreOtherThanTheyShouldBeAreWritten"),
    Mutation(
        "Postgres is not told of rules that were written in between", SHELL + "PostgresInstance.swift",
        "                written.texts = []\n", "", "EvidenceTests/rulesBetweenConfigurations"),
    Mutation(
        "a full volume takes the slot of the last standby that confirms", SHELL + "SlotShedding.swift",
        "isEnough ? Array(served.prefix(confirmations)) : own", "isEnough ? Array(served.prefix(confirmations)) : []",
        "SlotSheddingTests/slotsGoOnlyWhenTheVolumeIsNearlyFullAndNeverTheLastThatConfirms"),
    # What is destroyed.
    Mutation(
        "one that was to come, was given up and knows better is taken apart", CONTROL + "ClusterRecords+Members.swift",
        "$0.kind == .add && proofs[$0.member] == nil", "$0.kind == .add && proofs[$0.member] != nil",
        "RemovalTests/comer"),
    Mutation(
        "members are taken apart under a leader that says that the store went back", CONTROL + "ClusterRecords+Proof.swift",
        "if against.contains(rule.leader) { return against }", "if against.contains(rule.leader) { return [] }",
        "RemovalTests/leader"),
    Mutation(
        "one member's word keeps who was removed", CONTROL + "ClusterRecords+Proof.swift",
        "let count = Set(rule.members + removed + [member]).count", "let count = Set(rule.members + removed).count - 1",
        "RemovalTests/neighbour"),
    Mutation(
        "a replacement is taken back in a store that went back", CONTROL + "ClusterDirectory+Members.swift",
        "if let word = records.reversal(as: records.objectors(), of: name) {",
        "if let word = records.reversal(as: [], of: name) {", "RemovalTests/takenBack"),
    # Who is replaced though nobody asks.
    Mutation(
        "of nine members one goes before another comes, though nobody asks", PLANS + "Replacement.swift",
        "if rule.members.count >= PostgresNames.membersMax {", "if rule.members.count > PostgresNames.membersMax {",
        "ReplacementTests/enough"),
    Mutation(
        "a lost reader is replaced before its time", PLANS + "Replacement+Readers.swift",
        "if loss.lasted < loss.wait {", "if loss.lasted < .zero {", "ReaderReplacementTests/due"),
    Mutation(
        "two readers of a cluster come at once", PLANS + "Replacement+Readers.swift",
        "if let other = others.keys.min() {", "if let other = others.keys.min(), other == reader {",
        "ReaderReplacementTests/obstacles"),
    Mutation(
        "a reader takes a lost member's place on a host", PLANS + "Replacement+Readers.swift",
        "if isAfterMembers || readers.isBehindMembers {", "if isAfterMembers {", "LostReaderTests/afterOthers"),
    Mutation(
        "a reader that never came up is no reason to wait for longer",
        "Sources/Model/RoostModel/ReaderSuccession.swift", "count: former.count + 1", "count: former.count",
        "LostReaderTests/twice"),
    Mutation(
        "what is left of a reader keeps members from its host", PLANS + "ClusterPlan.swift",
        "Set(members.compactMap { placements[$0.name]?.host })",
        "Set(placements.values.filter { !isReader($0.member) }.map(\\.host))", "ReaderPlanTests/leftovers"),
    # Where a cluster is led from.
    Mutation(
        "whom somebody has had lead, and a failover has named since, is taken for another", PLANS + "Homecoming.swift",
        "since.allSatisfy({ $0.leader == rule.leader })", "since.count == 1", "HomecomingTests/ledAway"),
    Mutation(
        "nobody is told that somebody has had the present leader lead", CONTROL + "ClusterStatus.swift",
        "{ body.isLedByHand = true }", "{ body.isLedByHand = nil }", "ClusterStatusTests/ledByHand"),
    # What readers show.
    Mutation(
        "a reader follows the leader, too", READERS + "ReaderView.swift",
        "rule.members.filter { $0 != rule.leader || breakage == .followsLeader }", "rule.members",
        "ReaderSimulationTests/whatAReaderShowsStays"),
    Mutation(
        "a reader serves without a stream", READERS + "ReaderGate.swift",
        "at.map { now - $0 < Self.standstillMax } ?? false", "at != nil",
        "ReaderSimulationTests/whatAReaderShowsStays"),
    Mutation(
        "a stream of one that gets nothing itself counts", READERS + "ReaderGate.swift",
        "if !isStarved { fedAt = now }", "fedAt = now", "ReaderSimulationTests/whatAReaderShowsStays"),
    Mutation(
        "a stream of the standby before counts for the one that is taken", READERS + "Reader.swift",
        "isFollowing && sampledAt == seat", "isFollowing", "ReaderCoreTests/aStreamOfTheOneBeforeIsNoneOfTheOther"),
    Mutation(
        "one that is tried seems to give what the one before gave", READERS + "Reader.swift",
        "gate.forgetUpstream()", "_ = gate",
        "ReaderCoreTests/aNearerOneThatGivesNothingIsLeftBeforeClientsAreSentAway"),
    Mutation(
        "two reports of a reader have one number", "Sources/Cores/RoostFailover/FailoverMember+Reports.swift",
        "guard reports.asked == nil else { return [] }", "reports.asked = nil",
        "ReaderCoreTests/oneReportIsOnItsWayAtATimeAndEachHasANumberOfItsOwn"),
    Mutation(
        "whoever has a place and makes nothing of it keeps it", READERS + "FedReaders.swift",
        "now - place.busyAt >= Self.idleMax", "false", "FedReadersTests/whoReadsNothingFromItsPlaceGoesBehindTheOthers"),
    Mutation(
        "a copy that is being flushed loses its place to another", READERS + "FedReaders.swift",
        "place.isUsed && call.need == .restOfCopy", "false", "FedReadersTests/aCopyThatIsBeingFlushedKeepsItsPlace"),
    Mutation(
        "a copy that comes to nothing is tried at the same standby for ever", READERS + "Seat.swift",
        "drySince = isThere ? nil : drySince ?? now", "drySince = nil",
        "SeatTests/copiesThatComeToNothingCountAsOneThatGivesNothing"),
    Mutation(
        "a standby is left in the moment in which it would be asked once more for a copy", READERS + "Seat.swift",
        "use == .none ? Self.copyMax : isOnTrial", "isOnTrial",
        "SeatTests/copiesThatComeToNothingCountAsOneThatGivesNothing"),
    Mutation(
        "the members' role comes in to a leader from a reader's machine", SHELL + "PostgresSettings.swift",
        "isLeader ? members : isFollowing ? fed : []", "isLeader ? members + fed : isFollowing ? fed : []",
        "ConfigurationTests/theMembersRoleComesInFromMembersToALeaderAndFromReadersToWhoFeedsThem"),
    Mutation(
        "a reader's slot lives through a promotion", SHELL + "ReaderSlots.swift",
        "let others = rows.compactMap { $0[0] }.filter { slots.contains($0) && !wanted.contains($0) }",
        "let others = rows.compactMap { $0[0] }.filter { slots.contains($0) && $0.isEmpty }",
        "ReaderFenceTests/aFenceEndsWhoComesFromElsewhereAndWhoIsLoggingIn"),
    Mutation(
        "a stream without a slot lives through a promotion", SHELL + "ReaderSlots.swift",
        "AND \\(isNone(of: addresses))\n", "AND false\n",
        "ReaderFenceTests/aFenceEndsWhoComesFromElsewhereAndWhoIsLoggingIn"),
    Mutation(
        "what root in a reader's machine reports counts", CONTROL + "MemberRoutes.swift",
        "let word = try await store.hasVoice() ? report : report.withoutVoice", "let word = report", "ReaderDoorTests/reader"),
    Mutation(
        "edges bring clients to a reader whose standby is not fed", CONTROL + "ClusterHearing.swift",
        "report.upstream.map(confirms) ?? false", "report.upstream != nil", "EdgeRoutingTests/readers"),
]


def complaints(root):
    """What keeps the table from being carried out."""
    tests = {}
    for path in sorted((root / "Tests").rglob("*.swift")):
        text = path.read_text()
        for suite in re.findall(r"\b(?:struct|class|actor) (\w+)", text):
            tests.setdefault(suite, set()).update(re.findall(r"\bfunc (\w+)", text))
    for mutation in MUTATIONS:
        path = root / mutation.path
        count = path.read_text().count(mutation.text) if path.exists() else 0
        if count != 1:
            yield f"'{mutation.wrong}': its text is {count} times in {mutation.path}, not once"
        if mutation.text == mutation.instead:
            yield f"'{mutation.wrong}': it changes nothing"
        suite, _, function = mutation.test.partition("/")
        if function not in tests.get(suite, ()):
            yield f"'{mutation.wrong}': there is no test {mutation.test}"


def put(path, text):
    """Only what is other, so that the build sees what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != text:
        path.write_bytes(text)


def copy_tree(tree):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for path in list(tree.rglob("*")):
        if path.is_file() and str(path.relative_to(tree)) not in names:
            path.unlink()
    for name in names:
        put(tree / name, (ROOT / name).read_bytes())
        shutil.copymode(ROOT / name, tree / name)


def swift(tree, words, seconds):
    """Status and output; status nil: it took too long and was ended with all that it had started."""
    environment = dict(os.environ, ROOST_PG_PROGRAM=str(ROOT / "bin/roost-pg"))
    line = ["swift", *words, "--package-path", str(tree), "--scratch-path", str(FOLDER / "build")]
    with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            errors="replace", env=environment, start_new_session=True) as run:
        try:
            output, _ = run.communicate(timeout=seconds)
            return run.returncode, output
        except BaseException as error:
            os.killpg(run.pid, 9)
            output, _ = run.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return None, output
            raise


def build(tree, seconds=BUILD_SECONDS_MAX):
    return swift(tree, ["build", "--build-tests"], seconds)


def test(tree, names):
    filters = [word for name in sorted(set(names)) for word in ("--filter", name.replace("/", r"\/") + r"\(")]
    return swift(tree, ["test", "--skip-build", "--no-parallel", "--disable-xctest", *filters], TEST_SECONDS_MAX)


def tests_run(output):
    counts = re.findall(r"Test run with (\d+) tests?", output)
    return int(counts[-1]) if counts else 0


def verdict(tree, mutation):
    """Nil when a test turned red."""
    path = tree / mutation.path
    original = path.read_text()
    path.write_text(original.replace(mutation.text, mutation.instead))
    try:
        status, output = build(tree)
        if status != 0:
            return "it cannot be built:\n" + output[-3000:]
        status, output = test(tree, [mutation.test])
        if status is None or re.search(r"^✘ Test ", output, re.MULTILINE):
            return None
        if status == 0:
            return f"{mutation.test} did not notice"
        return "the tests ended otherwise than red:\n" + output[-3000:]
    finally:
        path.write_text(original)


def main(words):
    faults = list(complaints(ROOT))
    for fault in faults:
        print(f"mutations: {fault}", file=sys.stderr)
    if faults or words == ["--check"]:
        return 1 if faults else 0
    chosen = [m for m in MUTATIONS if not words or any(word in m.wrong for word in words)]
    if not chosen:
        print(f"mutations: none has one of the words {' '.join(words)}", file=sys.stderr)
        return 2
    tree = FOLDER / "tree"
    copy_tree(tree)
    print("== as it is", flush=True)
    names = {mutation.test for mutation in chosen}
    status, output = build(tree, FIRST_BUILD_SECONDS_MAX)
    if status == 0:
        status, output = test(tree, names)
    if status != 0 or tests_run(output) < len(names):
        print(f"{output[-5000:]}\nmutations: the tests are not green without any", file=sys.stderr)
        return 1
    survivors = 0
    for number, mutation in enumerate(chosen, 1):
        fault = verdict(tree, mutation)
        survivors += fault is not None
        print(f"{number}/{len(chosen)} {'noticed' if fault is None else 'SURVIVED'}: {mutation.wrong}", flush=True)
        if fault:
            print(fault, flush=True)
    print(f"{len(chosen) - survivors} noticed, {survivors} not")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
