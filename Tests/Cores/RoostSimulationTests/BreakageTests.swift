import RoostFailover
import RoostSimulation
import Testing

/// The simulation is only worth what it notices: every rule that is broken on purpose must make it fail.
@Suite struct BreakageTests {
    private static let seedsMax: UInt64 = 3000

    private func firstViolation(
        members: Int, faults: [ClusterScenario.Fault] = ClusterScenario.Fault.allCases, breakage: Breakage? = nil,
        breach: ClusterScenario.Breach? = nil, seeds: UInt64 = seedsMax, chaosSeconds: Int = 20
    ) -> Violation? {
        for seed in 1...seeds {
            // Not by the check of the reports themselves: by what they lead to.
            let scenario = ClusterScenario(
                seed: seed, members: members, faults: faults, chaosSeconds: chaosSeconds, breach: breach,
                checksReports: false,
                // Where members vote, nobody votes for one that has less, and one alone with data does not lead again.
                knowsMajority: [.promotesLeastAdvanced, .opensUnconfirmed].contains(breakage) ? false : nil)
            let run = ClusterSimulation(scenario, breakage: breakage).run()
            if let violation = run.violation { return violation }
        }
        return nil
    }

    @Test(arguments: Breakage.allCases.filter { !needsOwnFaults.contains($0) }, [3, 5])
    func isNoticed(_ breakage: Breakage, members: Int) throws {
        let violation = try #require(firstViolation(members: members, breakage: breakage), "\(breakage)")
        switch breakage {
        case .promotesLeastAdvanced:
            // Whoever had more than the new leader is to give it up.
            #expect(
                ["confirmed", "opens without", "exchanges its data for a copy without", "rewinds its data"].contains {
                    violation.what.contains($0)
                }, "\(violation)")
        case .opensUnconfirmed:
            // Or the reign that clients were let into was never the store's, and its leader has proof of it.
            #expect(
                ["confirmed", "opens without", "exchanges its data for a copy without", "the store has gone back"]
                    .contains { violation.what.contains($0) }, "\(violation)")
        case .recruitsOneTooFew, .reportsPromisedEpoch, .answersBeforeFence:
            // Or whoever has what was confirmed is to take the data of one that has not.
            #expect(
                ["confirmed", "opens without", "exchanges its data for a copy without"].contains {
                    violation.what.contains($0)
                }, "\(violation)")
        case .adoptsUnseen:
            // Or its leader sees that it has more than the leader ever wrote, again and again.
            #expect(
                violation.what.contains("joins the stream") || violation.what.contains("not whole"), "\(violation)")
        case .discardsWithoutLeave:
            #expect(violation.what.contains("removes its data"), "\(violation)")
        case .trustsForeignBytes:
            #expect(
                ["joins the stream", "opens without", "confirmed", "not whole", "rewound over"].contains {
                    violation.what.contains($0)
                }, "\(violation)")
        case .ignoresStrayPrimary:
            #expect(
                violation.what.contains("promoted by hand") || violation.what.contains("not whole"), "\(violation)")
        case .staysAfterResigning:
            #expect(violation.what.contains("goes from resigning to reading"), "\(violation)")
        case .saysStoppedEarly:
            #expect(violation.what.contains("says that it has stopped"), "\(violation)")
        case .followsAfterLoss:
            #expect(violation.what.contains("newer than its log"), "\(violation)")
        case .servesWithoutStream:
            #expect(violation.what.contains("has had no stream"), "\(violation)")
        case .dropsOlderReads:
            #expect(
                violation.what.contains("no open primary") || violation.what.contains("not whole"), "\(violation)")
        case .ignoresPause:
            #expect(violation.what.contains("in a pause"), "\(violation)")
        case .trustsRestoredStore, .believesShortLeader, .rewindsUntried, .trustsShortLeader, .keepsOfficeWhileDown,
            .restartsTogether, .namesUnprepared, .namesUnproven, .asksLessFirst, .stepsAhead, .resignsWhenAlone,
            .keepsOfficeWhileHung, .leavesSilentStandby, .promisesInMemory, .countsForeignAnswers, .decidesOnMovedRule,
            .givesUpWhatDoesNotStart, .heedsOldWords, .heedsOneTooFew, .heedsThePromised, .callsWithoutStore,
            .electsPastForce, .vouchesAside, .stepsUnwritten,
            .heedsTheStoreAlone, .votesTwice, .countsTooFewVotes, .forgetsForced, .heedsLaterMembers:
            Issue.record("has faults of its own")
        }
    }

    /// What all kinds of faults together bring about too seldom.
    private static let needsOwnFaults: [Breakage] = [
        .trustsRestoredStore, .believesShortLeader, .rewindsUntried, .trustsShortLeader, .keepsOfficeWhileDown,
        .restartsTogether, .namesUnprepared, .namesUnproven, .asksLessFirst, .stepsAhead, .resignsWhenAlone,
        .keepsOfficeWhileHung, .leavesSilentStandby, .promisesInMemory, .countsForeignAnswers, .decidesOnMovedRule,
        .givesUpWhatDoesNotStart, .heedsOldWords, .heedsOneTooFew, .heedsThePromised, .callsWithoutStore,
        .electsPastForce, .vouchesAside, .stepsUnwritten,
        .heedsTheStoreAlone, .votesTwice, .countsTooFewVotes,
        .forgetsForced, .heedsLaterMembers,
    ]

    /// What members may not do with calls and answers that come straight from others.
    private static let directFaults: [Breakage: [ClusterScenario.Fault]] = [
        .promisesInMemory: DirectCallTests.faults,
        .countsForeignAnswers: DirectCallTests.faults,
        .decidesOnMovedRule: [
            .crashMember, .isolate, .loseCalls, .restartAll, .restartAll, .restartAll, .restartInOffice, .pause,
        ],
    ]

    @Test(arguments: [
        (Breakage.promisesInMemory, ["have promised", "confirmed"]),
        (.countsForeignAnswers, ["have promised", "confirmed", "opens without"]),
        (.decidesOnMovedRule, ["a rule that is no more"]),
    ])
    func wrongWaysWithDirectCallsAreNoticed(_ breakage: Breakage, signs: [String]) throws {
        let faults = try #require(Self.directFaults[breakage])
        let isNoticed = (1...Self.seedsMax).contains { seed in
            let scenario = ClusterScenario(seed: seed, members: 3, faults: faults, chaosSeconds: 60, olderMembers: 0)
            guard let violation = ClusterSimulation(scenario, breakage: breakage).run().violation else { return false }
            return signs.contains { violation.what.contains($0) }
        }
        #expect(isNoticed, "\(breakage)")
    }

    /// Who confirms and who decides change one after the other: in the wrong order, or without proof, a commit is confirmed
    /// by members of which those that decide need not have one.
    @Test(arguments: [Breakage.namesUnprepared, .namesUnproven, .asksLessFirst, .stepsAhead])
    func membersThatComeInTheWrongOrderAreNoticed(_ breakage: Breakage) {
        let faults: [ClusterScenario.Fault] = [
            .addMember, .removeMember, .stallAtChange, .stallAtChange, .cutBothWays, .cutOneWay, .staleWatch,
        ]
        let isNoticed = (1...Self.seedsMax).contains { seed in
            let scenario = ClusterScenario(
                seed: seed, members: 3, faults: faults, chaosSeconds: 60, checksReports: false)
            let violation = ClusterSimulation(scenario, breakage: breakage).run().violation
            return violation?.what.contains("confirmed") == true
        }
        #expect(isNoticed, "\(breakage)")
    }

    @Test(arguments: [3, 5])
    func trustInARestoredStoreIsNoticed(members: Int) throws {
        let violation = try #require(
            firstViolation(
                members: members, faults: [.storeGoesBack, .crashMember, .restartMember, .isolate, .switchover],
                breakage: .trustsRestoredStore, chaosSeconds: 60))
        #expect(
            ["exchanges its data", "no open primary", "no rule that the store", "opens without", "confirmed"].contains {
                violation.what.contains($0)
            }, "\(violation)")
    }

    /// A Postgres that does not come up, again and again, beside a leader that lives.
    @Test(arguments: [3, 5])
    func dataGivenUpForAPostgresThatDoesNotStartIsNoticed(members: Int) throws {
        let violation = try #require(
            firstViolation(
                members: members, faults: [.fullVolume, .operationFails, .crashPostgres, .restartMember],
                breakage: .givesUpWhatDoesNotStart, chaosSeconds: 60))
        #expect(violation.what.contains("removes its data"), "\(violation)")
    }

    @Test func beliefInAShortLeaderIsNoticed() throws {
        let violation = try #require(
            firstViolation(
                members: 3, faults: [.tornLog, .switchover, .crashMember, .isolate], breakage: .believesShortLeader))
        #expect(
            violation.what.contains("confirmed") || violation.what.contains("opens without"), "\(violation)")
    }

    /// A leader that lost part of its log comes back, and of the other two one has given up what it had, for nothing.
    @Test func aRewindThatWasNotTriedIsNoticed() throws {
        let violation = try #require(
            firstViolation(
                members: 3, faults: [.tornLog, .crashMember, .crashBetweenActions, .isolate],
                breakage: .rewindsUntried))
        #expect(violation.what.contains("no open primary"), "\(violation)")
    }

    /// A leader that comes back with less of its own reign than its standbys have.
    @Test(arguments: [2, 3, 5])
    func trustInAShortLeaderIsNoticed(members: Int) throws {
        let violation = try #require(
            firstViolation(
                members: members, faults: [.lostTail, .powerLoss, .isolate], breakage: .trustsShortLeader))
        #expect(
            ["exchanges its data for a copy without", "opens without"].contains { violation.what.contains($0) },
            "\(violation)")
    }

    /// A change of who confirms, of which some of Postgres's processes know and some do not, and that may be broken off.
    @Test(arguments: [
        (ClusterScenario.Breach.provesByWhatWasWritten, 1), (.countsLeavers, 4),
    ])
    func whoConfirmsWithoutProofIsNoticed(_ breach: ClusterScenario.Breach, members: Int) throws {
        let violation = try #require(
            firstViolation(
                members: members, faults: [.addMember, .removeMember, .operationFails, .slowMember, .cutOneWay],
                breach: breach, chaosSeconds: 60), "\(breach)")
        #expect(violation.what.contains("confirmed"), "\(violation)")
    }

    /// A standby whose supervisor is frozen connects again by itself, to whoever leads there now.
    @Test func streamsWithoutEpochsAreNoticed() throws {
        let violation = firstViolation(
            members: 3, faults: [.freezeSupervisor, .switchover, .crashMember], breach: .ignoresStreamNames,
            seeds: 12_000)
        #expect(try #require(violation).what.contains("confirmed"))
    }

    /// Nothing is unsafe about it, but writes wait for the recovery, and not only for ten seconds and an election.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func anOfficeKeptWhileDownIsNoticed(seed: UInt64) {
        let scenario = ClusterScenario(
            seed: seed, members: 3, faults: [], script: [.init(.slowRecovery, atSeconds: 12, forSeconds: 20)],
            chaosSeconds: 45)
        let kept = ClusterSimulation(scenario, breakage: .keepsOfficeWhileDown).run().longestGapSeconds
        let offered = ClusterSimulation(scenario).run().longestGapSeconds
        #expect(kept > 19.5 && (9.5...16).contains(offered), "\(kept) \(offered)")
    }
}
