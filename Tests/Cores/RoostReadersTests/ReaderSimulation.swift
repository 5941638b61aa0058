import RoostFailover
import RoostModel

@testable import RoostReaders

/// Readers of a cluster in virtual time, a store that may be away from each, and faults by a seed.
struct ReaderSimulation {
    var cluster: SimulatedCluster
    var readers: [SimulatedReader] = []
    private(set) var now = Moment(sinceBoot: .seconds(1000))
    private var leaderEnds: [UInt64] = []
    private var starvedUntil = Moment.zero
    private var refusedUntil = Moment.zero
    private var steps = 0

    init(seed: UInt64, readers count: Int, breakage: ReaderBreakage? = nil) throws {
        cluster = try SimulatedCluster(seed: seed, readers: count)
        for number in 0..<count {
            readers.append(try SimulatedReader(4 + number, in: &cluster, breakage: breakage, now: now))
        }
    }

    /// - Parameter seconds: of faults.
    /// - Throws: what is broken.
    mutating func run(seconds: Int) throws {
        // Then they become whole, one after the other where they have to copy.
        let whole = 90 + 40 * (readers.count - 1)
        for second in 0..<(seconds + whole) {
            if second < seconds { disturb() } else if second == seconds { heal() }
            for _ in 0..<20 { try advance() }
        }
        for reader in readers { try named(reader.name) { try reader.checkEnd(cluster) } }
    }

    private mutating func disturb() {
        if now >= refusedUntil { for index in cluster.members.indices { cluster.members[index].refuses = false } }
        let one = cluster.pick(0, readers.count - 1)
        switch cluster.pick(0, 42) {
        case 41, 42:
            refusedUntil = now + .seconds(cluster.pick(20, 300))
            cluster.members[cluster.pick(0, 2)].refuses = true
        case 0: cluster.callForAnother(now, isLost: true)
        case 1: cluster.callForAnother(now, isLost: false)
        case 2: readers[one].storeAwayUntil = now + .seconds(cluster.pick(1, 30))
        case 3: readers[one].frozenUntil = now + .seconds(cluster.pick(1, 15))
        case 4: readers[one].linkDownUntil = now + .seconds(cluster.pick(1, 30))
        case 5: starvedUntil = now + .seconds(cluster.pick(1, 60))
        case 6...12: for index in cluster.members.indices { cluster.members[index].isUp = true }
        default: break
        }
        let upstream = readers[one].reader.seat.member.flatMap { cluster.index(of: $0) }
        for index in cluster.members.indices {
            cluster.members[index].isStarved =
                now < starvedUntil && (index == upstream || cluster.members[index].isStarved)
        }
    }

    private mutating func heal() {
        starvedUntil = now
        for index in readers.indices {
            (readers[index].storeAwayUntil, readers[index].frozenUntil, readers[index].linkDownUntil) = (now, now, now)
        }
        for index in cluster.members.indices {
            cluster.members[index].isUp = true
            cluster.members[index].isStarved = false
            cluster.members[index].refuses = false
        }
    }

    private mutating func advance() throws {
        now = now + SimulatedReader.step
        steps += 1
        cluster.step(now)
        leaderEnds.append(cluster.isLed ? cluster.members[cluster.leader].log.end : leaderEnds.last ?? 0)
        // Once a second, as their supervisors do it.
        if steps % 20 == 0 {
            cluster.feed(
                readers.compactMap { reader in
                    reader.reads(in: cluster).map { (reader: reader.name, standby: $0) }
                }, now)
        }
        for index in readers.indices {
            try named(readers[index].name) { try readers[index].advance(now, in: &cluster, leaderEnds) }
        }
    }

    private func named(_ reader: MemberName, _ body: () throws -> Void) throws {
        do { try body() } catch let failure as SimulatedReader.Failure {
            throw SimulatedReader.Failure(description: "\(reader): \(failure)")
        }
    }
}
