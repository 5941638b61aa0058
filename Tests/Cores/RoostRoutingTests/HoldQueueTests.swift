import RoostModel
import Testing

@testable import RoostRouting

@Suite("Sessions that wait")
struct HoldQueueTests {
    private let door: Door
    private let limits = HoldQueue.Limits(waitMax: .seconds(15), edgeMax: 8, doorMax: 5, burstMax: 3, scoutsMax: 2)

    init() throws { door = Door(app: try AppName("db"), access: .write) }

    private func at(_ milliseconds: Int) -> Moment { Moment(sinceBoot: .milliseconds(milliseconds)) }

    /// A source of its own for each.
    private func own(_ number: Int) -> SourcePrefix {
        SourcePrefix(of: IPv4Address(bits: UInt32(0xcb00_0000) + UInt32(number) << 8))
    }

    private func ticket(_ decision: HoldQueue.Decision) throws -> HoldTicket {
        guard case .wait(let ticket) = decision else { throw Unexpected(decision: decision) }
        return ticket
    }

    private struct Unexpected: Error { var decision: HoldQueue.Decision }

    @Test("Nobody waits at an open door")
    func open() {
        var queue = HoldQueue(limits: limits)
        #expect(queue.arrive(SessionID(1), from: own(1), at: door, isOpen: true, now: at(0)) == .attempt)
        #expect(queue.count == 0)
    }

    @Test("Who comes later waits behind, also at an open door; all go in order once one succeeds")
    func order() throws {
        var queue = HoldQueue(limits: limits)
        var tickets: [HoldTicket] = []
        for number in 1...5 {
            tickets.append(
                try ticket(
                    queue.arrive(
                        SessionID(UInt64(number)), from: own(number), at: door, isOpen: number > 1, now: at(number))))
        }
        #expect(tickets == tickets.sorted())
        #expect(tickets.map(\.deadline) == (1...5).map { at($0) + limits.waitMax })
        #expect(queue.opened(door) == [1, 2, 3].map { SessionID($0) })
        #expect(queue.opened(door) == [])
        #expect(queue.attemptSucceeded(SessionID(2), at: door, ticket: tickets[1]) == [4, 5].map { SessionID($0) })
        #expect(queue.count == 0)
    }

    @Test("While attempts fail, a handful tries, first come first, and keeps its place and its deadline")
    func scouts() throws {
        var queue = HoldQueue(limits: limits)
        var tickets: [HoldTicket] = []
        for number in 1...4 {
            tickets.append(
                try ticket(
                    queue.arrive(SessionID(UInt64(number)), from: own(number), at: door, isOpen: false, now: at(number))
                ))
        }
        for round in 1...5 {
            #expect(queue.retry(door) == [1, 2].map { SessionID($0) })
            #expect(queue.retry(door) == [])
            for number in [2, 1] {
                let decision = queue.attemptFailed(
                    SessionID(UInt64(number)), from: own(number), at: door, ticket: tickets[number - 1],
                    now: at(100 * round))
                #expect(decision == .wait(tickets[number - 1]))
            }
        }
        #expect(queue.count == 4)
    }

    @Test("Released sessions that fail come back to their old places")
    func relapse() throws {
        var queue = HoldQueue(limits: limits)
        let tickets = try (1...4).map {
            try ticket(queue.arrive(SessionID(UInt64($0)), from: own($0), at: door, isOpen: false, now: at($0)))
        }
        #expect(queue.retry(door).count == 2)
        #expect(queue.attemptSucceeded(SessionID(1), at: door, ticket: tickets[0]) == [3, 4].map { SessionID($0) })
        for number in [4, 2, 3] {
            let back = queue.attemptFailed(
                SessionID(UInt64(number)), from: own(number), at: door, ticket: tickets[number - 1], now: at(50))
            #expect(back == .wait(tickets[number - 1]))
        }
        #expect(queue.opened(door) == [2, 3, 4].map { SessionID($0) })
    }

    @Test("Both bounds hold, and a door's crowd leaves room at others")
    func bounds() throws {
        var queue = HoldQueue(limits: limits)
        let other = Door(app: try AppName("other"), access: .write)
        for number in 1...5 {
            _ = try ticket(
                queue.arrive(SessionID(UInt64(number)), from: own(number), at: door, isOpen: false, now: at(0)))
        }
        #expect(queue.arrive(SessionID(6), from: own(6), at: door, isOpen: false, now: at(0)) == .refuse(.crowded))
        for number in 7...9 {
            _ = try ticket(
                queue.arrive(SessionID(UInt64(number)), from: own(number), at: other, isOpen: false, now: at(0)))
        }
        #expect(queue.arrive(SessionID(10), from: own(10), at: other, isOpen: false, now: at(0)) == .refuse(.crowded))
        #expect(queue.count == 8)
    }

    @Test("One source may take more than its share while half of the places are free, and no more then")
    func roomForMany() throws {
        var queue = HoldQueue(limits: .init(edgeMax: 12, edgeSourceMax: 3, doorMax: 8, doorSourceMax: 2))
        func arrive(_ number: Int, from source: SourcePrefix) -> HoldQueue.Decision {
            queue.arrive(SessionID(UInt64(number)), from: source, at: door, isOpen: false, now: at(number))
        }
        for number in 1...4 { _ = try ticket(arrive(number, from: own(0))) }
        #expect(arrive(5, from: own(0)) == .refuse(.sourceCrowded))
        for number in 6...7 { _ = try ticket(arrive(number, from: own(1))) }
        #expect(arrive(8, from: own(1)) == .refuse(.sourceCrowded))
        _ = try ticket(arrive(9, from: own(2)))
    }

    @Test("One source has a share of those who wait, at a door and at the edge, and is told when it is full")
    func shares() throws {
        var queue = HoldQueue(limits: .init(edgeMax: 8, edgeSourceMax: 4, doorMax: 5, doorSourceMax: 3))
        let other = Door(app: try AppName("other"), access: .write)
        func arrive(_ number: Int, from source: SourcePrefix, at door: Door) -> HoldQueue.Decision {
            queue.arrive(SessionID(UInt64(number)), from: source, at: door, isOpen: false, now: at(number))
        }
        let first = try ticket(arrive(1, from: own(0), at: door))
        for number in 2...3 { _ = try ticket(arrive(number, from: own(0), at: door)) }
        #expect(arrive(4, from: own(0), at: door) == .refuse(.sourceCrowded))
        for number in 5...6 { _ = try ticket(arrive(number, from: own(number), at: door)) }
        _ = try ticket(arrive(7, from: own(0), at: other))
        #expect(arrive(8, from: own(0), at: other) == .refuse(.sourceCrowded))
        _ = try ticket(arrive(9, from: own(9), at: other))
        queue.leave(door, ticket: first)
        _ = try ticket(arrive(10, from: own(0), at: door))
        #expect(queue.attemptSucceeded(SessionID(5), at: door, ticket: nil).count == 4)
        #expect(queue.waiting(from: own(0)) == 1 && queue.count == 2)
    }

    @Test("Who stands in front in great numbers does not keep the others from trying")
    func crowdInFront() throws {
        var queue = HoldQueue(limits: .init(burstMax: 8, burstSourceMax: 4, scoutsMax: 4, scoutsSourceMax: 2))
        var tickets: [HoldTicket] = []
        for number in 1...102 {
            let source = own(number <= 100 ? 0 : number)
            tickets.append(
                try ticket(
                    queue.arrive(SessionID(UInt64(number)), from: source, at: door, isOpen: false, now: at(number))))
        }
        #expect(queue.opened(door) == [1, 2, 3, 4, 101, 102].map { SessionID($0) })
        // The crowd's four never come to an end: they wait for places that their source has taken.
        for round in 1...3 {
            for number in [101, 102] {
                let decision = queue.attemptFailed(
                    SessionID(UInt64(number)), from: own(number), at: door, ticket: tickets[number - 1],
                    now: at(200 * round))
                #expect(decision == .wait(tickets[number - 1]))
            }
            #expect(queue.retry(door) == [101, 102].map { SessionID($0) })
        }
        #expect(queue.attemptSucceeded(SessionID(101), at: door, ticket: tickets[100]).count == 96)
        #expect(queue.count == 0)
    }

    @Test("Nobody waits longer than the limit")
    func deadline() throws {
        var queue = HoldQueue(limits: limits)
        let ticket = try ticket(queue.arrive(SessionID(1), from: own(1), at: door, isOpen: false, now: at(0)))
        #expect(queue.opened(door) == [SessionID(1)])
        let late = queue.attemptFailed(SessionID(1), from: own(1), at: door, ticket: ticket, now: at(15_000))
        #expect(late == .refuse(.waitedTooLong))
        #expect(queue.count == 0)
    }

    /// Everything that may happen, at random: counts agree, nobody is called who does not wait, order is kept, and
    /// an open door with somebody who answers leaves nobody behind.
    @Test("Any order of events keeps the queue's promises", arguments: UInt64(0)..<300)
    func simulation(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let limits = HoldQueue.Limits(
            edgeMax: 40, edgeSourceMax: 20, doorMax: 30, doorSourceMax: 12, burstMax: 5, burstSourceMax: 3,
            scoutsMax: 2,
            scoutsSourceMax: 1)
        var queue = HoldQueue(limits: limits)
        // Half of them come from one source.
        func source(_ session: SessionID) -> SourcePrefix {
            own(session.number.isMultiple(of: 2) ? 0 : Int(session.number))
        }
        var waiting: [SessionID: HoldTicket] = [:]
        var trying: [SessionID: HoldTicket?] = [:]
        var now = at(0)
        var next: UInt64 = 0

        func take(_ called: [SessionID]) {
            let tickets = called.compactMap { waiting[$0] }
            #expect(tickets.count == called.count, "called somebody who does not wait")
            #expect(tickets == tickets.sorted())
            for session in called { trying[session] = .some(waiting.removeValue(forKey: session)) }
        }
        func follow(_ session: SessionID, _ decision: HoldQueue.Decision) {
            trying[session] = nil
            switch decision {
            case .attempt: trying[session] = .some(nil)
            case .wait(let ticket): waiting[session] = ticket
            case .refuse: return
            }
        }
        for _ in 0..<400 {
            now = now + .milliseconds(Int.random(in: 0...200, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1, 2:
                next += 1
                let isOpen = Bool.random(using: &random)
                follow(
                    SessionID(next),
                    queue.arrive(SessionID(next), from: source(SessionID(next)), at: door, isOpen: isOpen, now: now))
            case 3: take(queue.opened(door))
            case 4: take(queue.retry(door))
            case 5:
                guard let (session, ticket) = trying.min(by: { $0.key < $1.key }) else { continue }
                follow(session, queue.attemptFailed(session, from: source(session), at: door, ticket: ticket, now: now))
            case 6:
                guard Int.random(in: 0..<4, using: &random) == 0 else { continue }
                guard let (session, ticket) = trying.max(by: { $0.key < $1.key }) else { continue }
                trying[session] = nil
                take(queue.attemptSucceeded(session, at: door, ticket: ticket))
                #expect(waiting.isEmpty && queue.count == 0)
            case _:
                guard let (session, ticket) = waiting.min(by: { $0.key < $1.key }) else { continue }
                waiting[session] = nil
                queue.leave(door, ticket: ticket)
            }
            #expect(queue.count >= waiting.count && queue.count <= waiting.count + trying.count)
            #expect(queue.count <= limits.doorMax && queue.waiting(from: own(0)) <= limits.doorMax / 2)
        }
    }
}
