import RoostModel
import Testing

@testable import RoostWAN

@Suite struct DelayLineTests {
    @Test func givesPacketsInOrderAndNotBeforeTheirTime() {
        var line = DelayLine()
        for slot in 0..<100 { line.push(due: Int64(slot) * 10, slot: Int32(slot), length: 1) }
        #expect(line.count == 100)
        #expect(line.firstDue == 0)
        for slot in 0..<100 {
            #expect(line.pop(dueBy: Int64(slot) * 10 - 1) == nil)
            #expect(line.pop(dueBy: Int64(slot) * 10)?.slot == Int32(slot))
        }
        #expect(line.isEmpty)
    }

    @Test func aShorterDelayDoesNotOvertake() {
        var line = DelayLine()
        line.push(due: 1000, slot: 1, length: 1)
        line.push(due: 500, slot: 2, length: 1)
        #expect(line.pop(dueBy: 999) == nil)
        #expect(line.pop(dueBy: 1000)?.slot == 1)
        #expect(line.pop(dueBy: 1000)?.slot == 2)
        line.push(due: 600, slot: 3, length: 1)
        #expect(line.pop(dueBy: 600)?.slot == 3)
    }

    @Test func ringSurvivesWrappingAndGrowing() {
        var line = DelayLine()
        var pushed: Int32 = 0
        var popped: Int32 = 0
        for round in 1...40 {
            for _ in 0..<round {
                line.push(due: Int64(pushed), slot: pushed, length: 1)
                pushed += 1
            }
            for _ in 0..<(round / 2) {
                #expect(line.pop(dueBy: .max)?.slot == popped)
                popped += 1
            }
        }
        while let packet = line.pop(dueBy: .max) {
            #expect(packet.slot == popped)
            popped += 1
        }
        #expect(popped == pushed)
    }
}

@Suite struct ScheduleTests {
    @Test(arguments: [UInt64(1), 2, 3, 4, 5])
    func everyPacketLeavesOnceInTimeAndInOrderOfItsLine(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var schedule = Schedule()
        let lines = (0..<8).map { _ in schedule.makeLine() }
        var waiting: [Int: [(slot: Int32, due: Int64)]] = [:]
        var now: Int64 = 0
        var slot: Int32 = 0
        var left = 0
        for _ in 0..<5000 {
            now += Int64.random(in: 0...20, using: &generator)
            if Bool.random(using: &generator) {
                let line = lines.randomElement(using: &generator) ?? 0
                let due = max(now + Int64(line) * 50, waiting[line]?.last?.due ?? 0)
                schedule.push(slot, length: 1, due: due, on: line)
                waiting[line, default: []].append((slot, due))
                slot += 1
            } else {
                while let departure = schedule.pop(dueBy: now) {
                    let expected = waiting[departure.line]?.removeFirst()
                    #expect(departure.packet.slot == expected?.slot)
                    #expect(departure.packet.due <= now)
                    left += 1
                }
                let next = waiting.values.compactMap { $0.first?.due }.min()
                #expect(schedule.nextDue == next)
                #expect(next ?? .max > now)
            }
        }
        while schedule.pop(dueBy: .max) != nil { left += 1 }
        #expect(left == Int(slot))
        #expect(schedule.nextDue == nil)
    }

    @Test func linesAreServedByTime() {
        var schedule = Schedule()
        let slow = schedule.makeLine()
        let quick = schedule.makeLine()
        schedule.push(1, length: 1, due: 100, on: slow)
        schedule.push(2, length: 1, due: 10, on: quick)
        #expect(schedule.nextDue == 10)
        #expect(schedule.pop(dueBy: 50)?.packet.slot == 2)
        #expect(schedule.pop(dueBy: 50) == nil)
        #expect(schedule.nextDue == 100)
        #expect(schedule.pop(dueBy: 100)?.packet.slot == 1)
    }
}

@Suite struct PacketPoolTests {
    @Test func isBoundedAndReuses() {
        let pool = PacketPool()
        var taken: [Int32] = []
        while let slot = pool.take() { taken.append(slot) }
        #expect(taken.count == PacketPool.slotsMax)
        #expect(Set(taken).count == taken.count)
        #expect(pool.slotsInUse == PacketPool.slotsMax)
        for slot in taken { pool.release(slot) }
        #expect(pool.slotsInUse == 0)
        #expect(pool.take() != nil)
    }
}
