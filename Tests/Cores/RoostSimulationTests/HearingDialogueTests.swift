import RoostFailover
import RoostModel
import Testing

/// What a standby makes of what it hears directly. The steps are those of the clock that wakes it.
@Suite struct HearingDialogueTests {
    /// `m2` follows `m1`, and `m3` too.
    final class Talk {
        var dialogue: Dialogue
        var sequence: UInt64 = 1
        var leaderSpeaks = true
        var otherSpeaks = true
        var otherMisses = false
        var otherHears: [MemberName]
        /// The age of the stream's last message in each sample; nil: no samples.
        var silence: Duration?
        var storeAnswers = true

        init(members: Int = 3) throws {
            dialogue = try Dialogue.follower("m2", members: members)
            otherHears = [dialogue.names[0]]
        }

        /// One beat's time passes.
        /// - Returns: the recruitment that it called for, if it did.
        func step(_ time: Duration = .milliseconds(100)) -> Recruitment? {
            dialogue.wait(time)
            var actions: [FailoverAction] = []
            let names = dialogue.names
            let epoch = dialogue.rule?.epoch ?? .none
            if leaderSpeaks {
                actions += dialogue.tell(
                    .heard(
                        MemberBeat(
                            member: names[0], epoch: epoch, isOpen: true, missesLeader: false,
                            hears: Array(names.dropFirst()))))
            }
            if otherSpeaks, names.count > 2 {
                actions += dialogue.tell(
                    .heard(
                        MemberBeat(
                            member: names[2], epoch: epoch, isOpen: false, missesLeader: otherMisses, hears: otherHears)
                    ))
            }
            if let silence { actions += dialogue.observed(dialogue.standby(1000, silence: silence)) }
            if storeAnswers {
                sequence += 1
                dialogue.beat(sequence)
                actions += dialogue.watch()
            }
            actions += dialogue.tell(.tick)
            for case .changeRule(let rule, _, _) in actions { return rule.recruitment }
            return nil
        }

        /// Everybody is heard for so long.
        func calm(_ seconds: Int = 4) { calm(beats: seconds * 10) }

        func calm(beats: Int) {
            for _ in 0..<beats { #expect(step() == nil) }
        }

        /// The leader begins another reign, and is followed.
        func turn(to epoch: UInt64) {
            dialogue.change {
                $0.epoch = Epoch(epoch)
                $0.history.append(Reign(epoch: Epoch(epoch), leader: $0.leader, begin: LSN(1000)))
            }
            _ = dialogue.watch()
            _ = dialogue.ended()
            _ = dialogue.ended(.end(LSN(1000), timeline: 1))
            _ = dialogue.ended()
        }

        func loseLeader() {
            leaderSpeaks = false
            otherMisses = true
            otherHears = []
        }

        /// - Returns: after how many beats' time it calls for another leader; nil: not within so many.
        func call(within beats: Int) -> Int? {
            for beat in 1...beats where step() != nil { return beat }
            return nil
        }
    }

    /// The store's heartbeats go on: it is not they that decide.
    @Test func aLeaderThatTwoMissIsReplacedAtOnce() throws {
        let talk = try Talk()
        talk.calm()
        talk.loseLeader()
        let called = talk.call(within: 10) ?? 0
        #expect((3...5).contains(called))
        #expect(talk.dialogue.rule?.recruitment == nil)
    }

    @Test func whatOneAloneMissesProvesNothing() throws {
        for speaks in [true, false] {
            let talk = try Talk()
            talk.calm()
            talk.leaderSpeaks = false
            // It says that it hears the leader; or it says nothing, as a program of before does.
            talk.otherSpeaks = speaks
            #expect(talk.call(within: 30) == nil)
        }
        let pair = try Talk(members: 2)
        pair.calm()
        pair.loseLeader()
        #expect(pair.call(within: 30) == nil)
    }

    /// A third that says that it hears the leader outweighs a second that misses it.
    @Test func oneThatHearsTheLeaderIsBelieved() throws {
        let talk = try Talk(members: 5)
        talk.calm()
        talk.loseLeader()
        talk.otherHears = [talk.dialogue.names[0]]
        #expect(talk.call(within: 30) == nil)
    }

    @Test func aLeaderThatWasNeverHeardIsNotMissed() throws {
        let talk = try Talk()
        talk.leaderSpeaks = false
        talk.otherMisses = true
        talk.otherHears = []
        #expect(talk.call(within: 40) == nil)
    }

    @Test func aLeaderThatWasHeardForAMomentOnlyIsNotMissed() throws {
        let talk = try Talk()
        talk.calm(beats: 3)
        talk.loseLeader()
        #expect(talk.call(within: 30) == nil)
    }

    /// That it begins to hear is no gap of a path: the others would wait for its word. What it does not know yet is how
    /// steady the path is.
    @Test(arguments: [(4, true, 5...8), (4, false, 0...0), (12, false, 3...5)])
    func whoStartedAMomentAgoMissesTheLeaderToo(beats: Int, streams: Bool, calls: ClosedRange<Int>) throws {
        let talk = try Talk()
        if streams { talk.silence = .milliseconds(50) }
        talk.calm(beats: beats)
        talk.loseLeader()
        if streams { talk.silence = .seconds(2) }
        let called = talk.call(within: 10) ?? 0
        #expect(calls.contains(called), "\(called)")
    }

    /// Nor that a leader begins to lead that was heard all the time.
    @Test func aLeaderThatBeganAMomentAgoIsMissedToo() throws {
        let talk = try Talk()
        talk.calm()
        talk.turn(to: 2)
        talk.silence = .milliseconds(50)
        talk.calm(beats: 4)
        talk.loseLeader()
        talk.silence = .seconds(2)
        let called = talk.call(within: 10) ?? 0
        #expect((3...5).contains(called))
    }

    /// A path that comes and goes gives no calm.
    @Test func afterAGapTheLeaderHasToBeHeardAnew() throws {
        let talk = try Talk()
        talk.calm()
        talk.leaderSpeaks = false
        for _ in 0..<6 { #expect(talk.step() == nil) }
        talk.leaderSpeaks = true
        for _ in 0..<20 { #expect(talk.step() == nil) }
        talk.loseLeader()
        #expect(talk.call(within: 30) == nil)
    }

    /// Once it has left it by the word of others.
    @Test func aMemberSaysWhyASilenceDidNotCount() throws {
        let cases: [(beats: Int, isMissedByOther: Bool, doubt: SilenceDoubt)] = [
            (3, true, .heardBriefly(.milliseconds(200))), (40, false, .missedAlone),
        ]
        for (beats, isMissedByOther, doubt) in cases {
            let talk = try Talk()
            talk.calm(beats: beats)
            talk.loseLeader()
            talk.otherMisses = isMissedByOther
            #expect(talk.call(within: 15) == nil)
            #expect(talk.dialogue.member.status.doubtedSilence == nil)
            let proposer = talk.dialogue.names[2]
            talk.dialogue.change {
                $0.recruitment = Recruitment(epoch: Epoch(2), proposer: proposer, reason: .leaderSilent)
            }
            _ = talk.dialogue.watch()
            _ = talk.dialogue.ended()
            let doubted = talk.dialogue.member.status.doubtedSilence
            #expect(doubted?.epoch == .first && doubted?.doubt == doubt)
            #expect(doubted?.lasted == .milliseconds(1500))
        }
    }

    @Test func aMemberSaysNothingOfASilenceThatCounted() throws {
        let talk = try Talk()
        talk.calm()
        talk.loseLeader()
        // The other misses it a moment later.
        talk.otherMisses = false
        #expect(talk.call(within: 6) == nil)
        talk.otherMisses = true
        #expect(talk.call(within: 5) != nil)
        _ = talk.dialogue.ended()
        #expect(talk.dialogue.member.status.epoch == Epoch(2) && talk.dialogue.member.status.doubtedSilence == nil)
    }

    /// The process, or its whole machine, stood still; the leader did not.
    @Test func whoStoodStillCountsFromThen() throws {
        let talk = try Talk()
        talk.calm()
        talk.loseLeader()
        #expect(talk.step(.seconds(2)) == nil)
        let called = talk.call(within: 10) ?? 0
        #expect((2...5).contains(called))
    }

    @Test func nobodyIsMissedInAPause() throws {
        let talk = try Talk()
        let now = (talk.dialogue.now - Moment.zero).milliseconds
        talk.dialogue.change { $0.pause = WishTerm(beganAt: now, length: .seconds(600)) }
        talk.calm()
        talk.loseLeader()
        #expect(talk.call(within: 50) == nil)
    }

    /// Its Postgres goes on speaking: that is left to the store's patience.
    @Test(arguments: [(50, false), (2000, true)])
    func aSupervisorThatIsIllAloneHasMoreTime(silence: Int, isCalled: Bool) throws {
        let talk = try Talk()
        talk.silence = .milliseconds(50)
        talk.calm()
        talk.loseLeader()
        talk.silence = .milliseconds(silence)
        #expect((talk.call(within: 15) != nil) == isCalled)
    }

    /// The store has no news of a leader that says itself that it is there: its way to the store is ill, and may be well
    /// again before its lease is over.
    @Test func aLeaderThatIsHeardHasMoreTime() throws {
        let talk = try Talk()
        talk.calm()
        talk.storeAnswers = false
        var waited = Duration.zero
        while waited < .seconds(6) {
            waited += .milliseconds(100)
            var called = talk.step()
            for case .changeRule(let rule, _, _) in talk.dialogue.read() { called = rule.recruitment }
            if called != nil { break }
        }
        #expect(waited >= .seconds(4) && waited < .milliseconds(4500))
    }

    /// Two failovers, one soon after the other, each from a leader that is not heard for so long.
    private func afterFailovers(silence: Duration, heardBefore: Bool) throws -> Talk {
        let talk = try Talk()
        for epoch in 2...3 as ClosedRange<UInt64> {
            talk.calm(7)
            talk.leaderSpeaks = false
            for _ in 0..<Int(silence / .milliseconds(100)) - 1 { #expect(talk.step() == nil) }
            if heardBefore {
                talk.leaderSpeaks = true
                #expect(talk.step() == nil)
            }
            talk.turn(to: epoch)
            talk.leaderSpeaks = true
            #expect(talk.step() == nil)
        }
        #expect(talk.dialogue.member.status.phase == .following)
        return talk
    }

    /// Each one that was left for a gap makes the next wait longer, whether it is heard before or after another was chosen.
    @Test(arguments: [(11, false), (13, true)], [true, false])
    func afterALeaderThatWasLeftTooSoonTheNextHasToBeHeardLonger(
        heard: (seconds: Int, isCalled: Bool), heardBefore: Bool
    ) throws {
        let talk = try afterFailovers(silence: .milliseconds(1500), heardBefore: heardBefore)
        talk.calm(heard.seconds)
        talk.loseLeader()
        #expect((talk.call(within: 20) != nil) == heard.isCalled)
    }

    /// A gap of before has nothing to do with it.
    @Test func aGapLongBeforeASwitchoverIsNoHaste() throws {
        let talk = try Talk()
        talk.calm()
        talk.leaderSpeaks = false
        for _ in 0..<10 { #expect(talk.step() == nil) }
        talk.leaderSpeaks = true
        talk.calm()
        talk.turn(to: 2)
        talk.calm()
        talk.loseLeader()
        let called = talk.call(within: 10) ?? 0
        #expect((3...5).contains(called))
    }

    /// The next leader is missed as soon as the first.
    @Test func aLeaderThatWasGoneIsNoReasonToWait() throws {
        let talk = try afterFailovers(silence: .milliseconds(2500), heardBefore: false)
        talk.calm()
        talk.loseLeader()
        let called = talk.call(within: 10) ?? 0
        #expect((3...5).contains(called))
    }

    /// A switchover is no gap: its leader is heard all the time.
    @Test func aLeaderThatHandsOverWasNotLeftTooSoon() throws {
        let talk = try Talk()
        talk.calm()
        talk.turn(to: 2)
        talk.calm()
        talk.loseLeader()
        let called = talk.call(within: 10) ?? 0
        #expect((3...5).contains(called))
    }

    /// What a member says: to whom it listens, and whom it misses, without waiting for its next beat.
    @Test func aMemberSaysWhatItHears() throws {
        let talk = try Talk()
        talk.calm()
        var said: [MemberBeat] = []
        func note(_ actions: [FailoverAction]) { for case .beat(let beat) in actions { said.append(beat) } }
        talk.dialogue.wait(.milliseconds(100))
        note(talk.dialogue.all(.tick))
        #expect(said.last?.hears == [talk.dialogue.names[0], talk.dialogue.names[2]])
        #expect(said.last?.missesLeader == false && said.last?.isOpen == false)
        while said.last?.missesLeader == false, said.count < 20 {
            talk.dialogue.now = talk.dialogue.member.wakeAt
            note(talk.dialogue.all(.tick))
        }
        #expect(said.last?.missesLeader == true && said.count < 8)
    }
}

@Suite struct BeatTests {
    private func beat() throws -> MemberBeat {
        MemberBeat(
            member: try MemberName("orders-2"), epoch: Epoch(7), isOpen: false, missesLeader: true,
            hears: [try MemberName("orders-3")])
    }

    private func datagram(
        life: UInt64 = 1, number: UInt64 = 1, challenge: UInt64 = 10, echo: UInt64 = 0
    ) throws -> BeatDatagram {
        BeatDatagram(
            try beat(), to: try MemberName("orders-1"), life: life, number: number, challenge: challenge, echo: echo)
    }

    @Test func aDatagramIsReadAsItWasWritten() throws {
        let datagram = try datagram(life: .max, number: 3, challenge: 4, echo: 5)
        #expect(BeatDatagram(datagram.bytes) == datagram)
        // A later version says more, and one before there were calls less.
        #expect(BeatDatagram(datagram.bytes + [1, 2, 3]) == datagram)
        #expect(BeatDatagram(datagram.bytes.dropLast()) == datagram)
        var other = datagram.bytes
        other[0] = BeatDatagram.version + 1
        #expect(BeatDatagram(other) == nil)
    }

    @Test func callsAndAnswersAreReadAsTheyWereWritten() throws {
        let call = DirectCall(epoch: Epoch(8), revision: .max, stored: 12)
        let answer = DirectAnswer(
            epoch: Epoch(8), reigns: 64, digest: .max - 1, end: LSN(.max), replayed: LSN(5), timeline: .max,
            cannotLead: true)
        let parts: [(DirectCall?, DirectAnswer?)] = [(call, nil), (nil, answer), (call, answer)]
        for (call, answer) in parts {
            var datagram = try datagram()
            let least = datagram.bytes.count
            datagram.beat.call = call
            datagram.beat.answer = answer
            #expect(BeatDatagram(datagram.bytes) == datagram)
            #expect(BeatDatagram(datagram.bytes + [1, 2, 3]) == datagram)
            for count in least..<datagram.bytes.count { #expect(BeatDatagram(datagram.bytes.prefix(count)) == nil) }
        }
    }

    /// Of as many members as there can be, with names as long as they can be.
    @Test func theLongestFits() throws {
        let names = try (0..<PostgresNames.membersMax).map { number in
            try MemberName(String(repeating: "m", count: 61) + "\(number)")
        }
        let answer = DirectAnswer(
            epoch: Epoch(8), reigns: 64, digest: 1, end: LSN(1), replayed: LSN(1), timeline: 1, cannotLead: false)
        let datagram = BeatDatagram(
            MemberBeat(
                member: names[0], epoch: Epoch(7), isOpen: true, missesLeader: true, hears: names,
                call: DirectCall(epoch: Epoch(8), revision: 1), answer: answer),
            to: names[1], life: 1, number: 1, challenge: 1, echo: 1)
        #expect(BeatDatagram(datagram.bytes) == datagram)
    }

    @Test func whatIsCutOffOrTooLongIsNone() throws {
        // Without the last byte it is one of before there were calls.
        let bytes = try datagram().bytes.dropLast()
        for count in 0..<bytes.count { #expect(BeatDatagram(bytes.prefix(count)) == nil, "\(count) bytes") }
        let rest = [UInt8](repeating: 0, count: BeatDatagram.bytesMax)
        #expect(BeatDatagram(bytes + rest) == nil)
        var random = SplitMix64(seed: 1)
        for _ in 0..<10_000 {
            let garbage = (0..<random.next() % 200).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            _ = BeatDatagram([BeatDatagram.version] + garbage)
        }
    }

    @Test func whatWasSaidBeforeIsNotBelievedAgain() throws {
        var known = BeatAcquaintance(challenge: 100)
        // It does not know the challenge yet, but has said its own.
        #expect(try !known.admits(datagram(number: 1), next: 101))
        #expect(known.echo == 10)
        #expect(try known.admits(datagram(number: 2, echo: 100), next: 101))
        #expect(try !known.admits(datagram(number: 2, echo: 100), next: 102))
        #expect(try known.admits(datagram(number: 5, echo: 100), next: 102))
        #expect(try !known.admits(datagram(number: 4, echo: 100), next: 102))
        // The other's process is another.
        #expect(try !known.admits(datagram(life: 2, number: 1, echo: 100), next: 102))
        #expect(try known.admits(datagram(life: 2, number: 2, echo: 101), next: 102))
        // And what the first has said does not come back.
        #expect(try !known.admits(datagram(life: 1, number: 9, echo: 100), next: 103))
        #expect(try !known.admits(datagram(life: 1, number: 10, echo: 101), next: 103))
    }
}
