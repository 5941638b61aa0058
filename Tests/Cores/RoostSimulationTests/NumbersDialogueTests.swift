import RoostModel
import Testing

@testable import RoostFailover

/// Numbers that are counted on from what the store has. Whoever is root in a member's machine can write the greatest there is,
/// and the member's honest program goes on all the same when it has its machine again.
@Suite struct NumbersDialogueTests {
    @Test func fromTheGreatestThereIsItIsCountedOnFromOnesOwn() {
        let max = RecordNumber.max
        #expect(RecordNumber.next(own: 0, known: 0) == 1 && RecordNumber.next(own: 3, known: 7) == 8)
        #expect(RecordNumber.next(own: 7, known: 3) == 8 && RecordNumber.next(own: 0, known: max - 1) == max)
        #expect(RecordNumber.next(own: 4, known: max) == 5 && RecordNumber.next(own: 4, known: .max) == 5)
        #expect(RecordNumber.next(own: max, known: 3) == 1 && RecordNumber.next(own: max, known: max) == 1)
        #expect(RecordNumber.isLater(8, than: 7))
        #expect(!RecordNumber.isLater(7, than: 7) && !RecordNumber.isLater(6, than: 7))
        #expect(RecordNumber.isLater(1, than: max) && !RecordNumber.isLater(max, than: max))
    }

    /// In a pause, or in a cluster of one, nobody begins another epoch.
    @Test func aLeaderRenewsItsLeaseWhateverNumberIsThere() throws {
        for stored in [RecordNumber.max - 2, RecordNumber.max] {
            var dialogue = try Dialogue.leader(members: 1)
            dialogue.beat(stored)
            _ = dialogue.watch()
            var numbers: [UInt64] = []
            for _ in 1...8 {
                dialogue.wait(.milliseconds(300))
                for case .heartbeat(let beat, _) in dialogue.all(.tick) {
                    numbers.append(beat.sequence)
                    dialogue.beat(beat.sequence)
                    _ = dialogue.tell(
                        .heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
                    _ = dialogue.watch()
                }
            }
            #expect(numbers.count == 8 && numbers.allSatisfy { $0 <= RecordNumber.max }, "\(numbers)")
            #expect(Set(numbers).count == 8, "\(numbers)")
            #expect(dialogue.member.status.leaseUntil.map { $0 > dialogue.now } == true)
        }
    }

    /// What it says anew is news to its standbys.
    @Test func aLeaderThatCountsAnewIsMissedByNobody() throws {
        var dialogue = try Dialogue.follower("m2")
        for number in [RecordNumber.max - 1, RecordNumber.max] + Array(1...20) {
            dialogue.wait(.milliseconds(500))
            dialogue.beat(number)
            let actions = dialogue.watch() + dialogue.tell(.tick)
            #expect(!actions.contains { if case .changeRule = $0 { true } else { false } }, "\(number)")
        }
    }

    @Test func aMemberReportsWhateverNumberIsThere() throws {
        for stored in [RecordNumber.max - 1, RecordNumber.max] {
            var dialogue = try Dialogue.follower("m2")
            var numbers: Set<UInt64> = []
            for second in 1...12 {
                var report = try #require(dialogue.stored)
                if second == 1 { report.sequence = stored }
                dialogue.reports = [report]
                dialogue.revision += 1
                _ = dialogue.watch()
                dialogue.wait(.seconds(3))
                _ = dialogue.observed(dialogue.standby(1000 + UInt64(second)))
                numbers.insert(try #require(dialogue.stored?.sequence))
            }
            #expect(numbers.count > 5 && numbers.allSatisfy { (1...RecordNumber.max).contains($0) }, "\(numbers)")
        }
    }
}
