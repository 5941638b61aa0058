import RoostModel
import Testing

@testable import RoostMachineLife

@Suite struct RootBoundsTests {
    private static let limits = RootBounds.Limits(rootMax: .gibibytes(8), reserve: .gibibytes(2))
    private static let plenty = ByteCount.gibibytes(100)

    private static func launch(_ number: Int, _ attempt: String = "a") throws -> RootBounds.Launch {
        let hex = String(number, radix: 16)
        return RootBounds.Launch(
            machine: try MachineID(String(repeating: "0", count: 14 - hex.utf8.count) + hex), attempt: attempt)
    }

    private static func at(_ seconds: Int) -> Moment { Moment(sinceBoot: .seconds(seconds)) }

    /// A host whose roots take no time to measure.
    private final class Host {
        var bounds = RootBounds(limits: limits)
        var roots: [RootBounds.Launch: RootBounds.Finding] = [:]
        var launches: Set<RootBounds.Launch> { Set(roots.keys) }

        /// What is due is measured, between two readings of the free space.
        func look(free: ByteCount, at second: Int) -> [RootBounds.Verdict] {
            var verdicts = [bounds.see(free: free, of: launches, at: at(second))].compactMap(\.self)
            for lane in RootBounds.Lane.allCases {
                while let walk = bounds.next(lane, of: launches, at: at(second)) {
                    verdicts += [bounds.see(roots[walk.launch], in: walk, at: at(second))].compactMap(\.self)
                }
            }
            verdicts += [bounds.see(free: free, of: launches, at: at(second))].compactMap(\.self)
            return verdicts
        }
    }

    @Test("A root that is too large at two looks in a row ends; another launch begins anew")
    func tooLarge() throws {
        let host = Host()
        let (large, fine) = (try Self.launch(1), try Self.launch(2))
        host.roots = [large: .init(size: .gibibytes(9)), fine: .init(size: .gibibytes(8))]
        #expect(host.look(free: Self.plenty, at: 0).isEmpty)
        let again = try Self.launch(1, "b")
        host.roots = [again: .init(size: .gibibytes(9)), fine: .init(size: .gibibytes(8))]
        #expect(host.look(free: Self.plenty, at: 5).isEmpty)
        let verdicts = host.look(free: Self.plenty, at: 10)
        #expect(verdicts.map(\.launch) == [again])
        #expect(verdicts.first?.reason == .tooLarge(.gibibytes(9), max: .gibibytes(8)))
        #expect(verdicts.first?.words.contains("9 GiB") == true && verdicts.first?.words.contains("8 GiB") == true)
        let deep = try Self.launch(3)
        host.roots = [deep: .init(size: .mebibytes(1), isWhole: false)]
        #expect(host.look(free: Self.plenty, at: 15).isEmpty)
        #expect(host.look(free: Self.plenty, at: 20).map(\.reason) == [.tooManyNames])
        // It shrinks in between.
        host.roots = [large: .init(size: .gibibytes(9))]
        #expect(host.look(free: Self.plenty, at: 25).isEmpty)
        host.roots = [large: .init(size: .zero)]
        #expect(host.look(free: Self.plenty, at: 30).isEmpty)
        host.roots = [large: .init(size: .gibibytes(9))]
        #expect(host.look(free: Self.plenty, at: 90).isEmpty)
        let busy = try Self.launch(4)
        host.roots = [busy: .init(size: .mebibytes(1), hasTooManyOpen: true)]
        #expect(host.look(free: Self.plenty, at: 100).isEmpty)
        let open = host.look(free: Self.plenty, at: 105)
        #expect(open.map(\.reason) == [.tooManyOpen])
        #expect(open.first?.words.contains("open or mapped") == true)
    }

    @Test(
        "With the disk nearly full no machine is taken, the largest root ends, one at a time, and none within its promise"
    )
    func nearlyFull() throws {
        let host = Host()
        let short = ByteCount.gibibytes(1)
        let (small, middle, large) = (try Self.launch(1), try Self.launch(2), try Self.launch(3))
        host.roots = [
            small: .init(size: RootBounds.Limits.rootPromise), middle: .init(size: .gibibytes(1)),
            large: .init(size: .gibibytes(2)),
        ]
        let first = host.look(free: short, at: 0)
        #expect(host.bounds.isFull)
        #expect(first.map(\.launch) == [large] && first.first?.reason == .diskNearlyFull(.gibibytes(2)))
        host.roots[large] = nil
        #expect(host.look(free: short, at: 5).isEmpty)
        #expect(host.look(free: short, at: 10).map(\.launch) == [middle])
        host.roots[middle] = nil
        #expect(host.look(free: short, at: 30).isEmpty)
        _ = host.look(free: .gibibytes(2), at: 31)
        #expect(host.bounds.isFull)
        _ = host.look(free: .mebibytes(2560), at: 32)
        #expect(!host.bounds.isFull)
    }

    /// When the large root ends, beside four machines that are ended at their first look, one every eight seconds.
    private func largeEnds(besideEndsOf size: ByteCount, free: ByteCount) throws -> Int? {
        let host = Host()
        let large = try Self.launch(1)
        host.roots = [large: .init(size: .gibibytes(3))]
        #expect(host.look(free: Self.plenty, at: 0).isEmpty)
        for second in stride(from: 64, to: 300, by: 2) {
            if second % 8 == 0 {
                let nested = try Self.launch(2 + second / 8 % 4, "\(second)")
                host.roots[nested] = .init(size: size, isWhole: false)
            }
            for verdict in host.look(free: free, at: second) {
                if verdict.launch == large { return second }
                host.roots[verdict.launch] = nil
            }
        }
        return nil
    }

    @Test("Only an end that frees what is lacking puts off the end of the largest root")
    func cheapEnds() throws {
        let lacking = ByteCount.gibibytes(1)
        let short = Self.limits.reserve - lacking
        for size in [.mebibytes(2), RootBounds.Limits.rootPromise, lacking - .mebibytes(1)] {
            #expect(try largeEnds(besideEndsOf: size, free: short).map { $0 <= 75 } == true, "\(size)")
        }
        // Next to nothing is lacking, and that is not freed by next to nothing either.
        let nearly = Self.limits.reserve - .mebibytes(1)
        #expect(try largeEnds(besideEndsOf: .mebibytes(2), free: nearly).map { $0 <= 75 } == true)
        // What is freed so shows a moment later, as a rule.
        #expect(try largeEnds(besideEndsOf: lacking, free: short) == nil)
    }

    /// When the root is due, measured at 0 with so much free and for so long.
    private func due(took: Int = 0, before: ByteCount, now: ByteCount, size: ByteCount = .zero) throws -> Int? {
        var bounds = RootBounds(limits: Self.limits)
        let launches: Set = [try Self.launch(1)]
        _ = bounds.see(free: before, of: launches, at: Self.at(0))
        let next = bounds.next(.quick, of: launches, at: Self.at(0))
        let walk = try #require(next)
        _ = bounds.see(.init(size: size), in: walk, at: Self.at(took))
        _ = bounds.see(free: now, of: launches, at: Self.at(took))
        return (took..<1000).first { second in
            RootBounds.Lane.allCases.contains { bounds.next($0, of: launches, at: Self.at(second)) != nil }
        }
    }

    @Test("Roots are looked at slowly, and quickly when the disk is short or shrinks or the root was too large")
    func beats() throws {
        #expect(try due(before: Self.plenty, now: Self.plenty) == 60)
        #expect(try due(before: Self.plenty, now: Self.plenty - .mebibytes(512)) == 5)
        #expect(try due(before: .gibibytes(3), now: .gibibytes(3)) == 5)
        #expect(try due(before: Self.plenty, now: Self.plenty, size: .gibibytes(9)) == 5)
        // What took long is not looked at again at once, unless the disk is short.
        #expect(try due(took: 50, before: Self.plenty, now: Self.plenty, size: .gibibytes(9)) == 250)
        #expect(try due(took: 50, before: .gibibytes(3), now: .gibibytes(3)) == 55)
    }

    @Test("Looks are idle work only while the disk is not short")
    func urgent() throws {
        var bounds = RootBounds(limits: Self.limits)
        let launches: Set = [try Self.launch(1), try Self.launch(2)]
        let unread = bounds.next(.quick, of: launches, at: Self.at(0))
        #expect(unread == nil)
        _ = bounds.see(free: .gibibytes(4), of: launches, at: Self.at(0))
        let idle = bounds.next(.quick, of: launches, at: Self.at(0))
        #expect(idle?.isUrgent == false)
        _ = bounds.see(free: .mebibytes(4095), of: launches, at: Self.at(0))
        let urgent = bounds.next(.quick, of: launches, at: Self.at(0))
        #expect(urgent?.isUrgent == true)
        // Both are being measured.
        let third = bounds.next(.quick, of: launches, at: Self.at(900))
        #expect(third == nil)
    }

    @Test(
        "A look whose time is over makes no root smaller, acquits nobody, and ends none for names that nobody counted")
    func cut() throws {
        var host = Host()
        let short = ByteCount.gibibytes(1)
        let (cut, other) = (try Self.launch(1), try Self.launch(2))
        host.roots = [cut: .init(size: .gibibytes(3)), other: .init(size: .gibibytes(2))]
        #expect(host.look(free: Self.plenty, at: 0).isEmpty)
        host.roots[cut] = .init(size: .mebibytes(1), isDone: false)
        #expect(host.look(free: Self.plenty, at: 60).isEmpty)
        #expect(host.look(free: short, at: 65).map(\.launch) == [cut])
        host = Host()
        host.roots = [cut: .init(size: .gibibytes(9))]
        #expect(host.look(free: Self.plenty, at: 0).isEmpty)
        host.roots[cut] = .init(size: .gibibytes(1), isDone: false)
        #expect(host.look(free: Self.plenty, at: 5).isEmpty)
        host.roots[cut] = .init(size: .gibibytes(9), isDone: false)
        #expect(host.look(free: Self.plenty, at: 10).map(\.launch) == [cut])
    }

    /// One launch of a host whose roots take time to measure.
    private struct Running {
        let launch: RootBounds.Launch
        var attempt = 0
        var size = ByteCount.zero
        /// Of a walk to its end.
        var time: Int
        var overSince: Int?

        init(_ number: Int, attempt: Int = 0, size: ByteCount = .zero, time: Int) throws {
            launch = try RootBoundsTests.launch(number, "\(attempt)")
            (self.attempt, self.size, self.time) = (attempt, size, time)
        }
    }

    private final class World {
        var bounds = RootBounds(limits: limits)
        var running: [Int: Running] = [:]
        var works: [RootBounds.Lane: (walk: RootBounds.Walk, ends: Int, isDone: Bool)] = [:]

        var launches: Set<RootBounds.Launch> { Set(running.values.map(\.launch)) }

        func number(of launch: RootBounds.Launch) -> Int? { running.first { $0.value.launch == launch }?.key }

        private func root(of launch: RootBounds.Launch) -> Running? { number(of: launch).flatMap { running[$0] } }

        /// A second goes by: what is read, measured and ended.
        func pass(second: Int, free: ByteCount) -> [RootBounds.Verdict] {
            var verdicts: [RootBounds.Verdict] = []
            let now = at(second)
            let launches = launches
            if let verdict = bounds.see(free: free, of: launches, at: now) { verdicts.append(verdict) }
            for lane in RootBounds.Lane.allCases {
                while true {
                    if let work = works[lane] {
                        guard work.ends <= second else { break }
                        works[lane] = nil
                        let finding = root(of: work.walk.launch).map {
                            RootBounds.Finding(size: work.isDone ? $0.size : .zero, isDone: work.isDone)
                        }
                        if let verdict = bounds.see(finding, in: work.walk, at: now) { verdicts.append(verdict) }
                    }
                    guard let walk = bounds.next(lane, of: launches, at: now) else { break }
                    let time = root(of: walk.launch)?.time ?? 0
                    let budget = Int(walk.budget.components.seconds)
                    works[lane] = (walk, second + min(time, budget), time <= budget)
                }
            }
            return verdicts
        }
    }

    @Test("However long some roots take to measure, the others are held to their bound, and the disk is kept free")
    func slowNeighbours() throws {
        var world = World()
        // Thirty that take as long as can be, and one that is quick to measure and grows.
        for number in 1...30 { world.running[number] = try Running(number, size: .mebibytes(100), time: 900) }
        world.running[31] = try Running(31, time: 0)
        for second in 0..<3000 {
            // They are all new, and each is tried in the quick lane once.
            if second == 120 { world.running[31]?.size = .gibibytes(9) }
            let verdicts = world.pass(second: second, free: Self.plenty)
            guard !verdicts.isEmpty else { continue }
            #expect(verdicts.map(\.launch) == [try Self.launch(31, "0")])
            #expect((120...186).contains(second), "at \(second)")
            break
        }
        #expect(world.running[31]?.size == .gibibytes(9))
        world = World()
        for number in 1...30 { world.running[number] = try Running(number, size: .mebibytes(100), time: 900) }
        world.running[31] = try Running(31, size: .gibibytes(3), time: 0)
        for second in 0..<100 { #expect(world.pass(second: second, free: Self.plenty).isEmpty) }
        let ended = try (100..<200).first {
            world.pass(second: $0, free: .gibibytes(1)).map(\.launch) == [try Self.launch(31, "0")]
        }
        #expect(ended.map { $0 <= 106 } == true)
    }

    @Test("When no look comes to its end, what was known before decides, and later")
    func late() throws {
        let world = World()
        for number in 1...40 {
            world.running[number] = try Running(number, size: .gibibytes(number == 7 ? 3 : 1), time: 1)
        }
        for second in 0..<100 { #expect(world.pass(second: second, free: Self.plenty).isEmpty) }
        // A disk that hangs.
        for number in 1...40 { world.running[number]?.time = 900 }
        let ended = try (100..<200).first {
            world.pass(second: $0, free: .gibibytes(1)).map(\.launch) == [try Self.launch(7, "0")]
        }
        #expect(ended == 115)
    }

    @Test(
        "Over many hosts: nobody ends within the bounds, every root that stays too large ends, and one after the other does while the disk is short"
    )
    func hosts() throws {
        for seed in 0..<100 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            let world = World()
            let isSlow = seed % 2 == 1
            for number in 0..<Int.random(in: 1...12, using: &random) {
                world.running[number] = try Running(
                    number, time: isSlow ? [0, 0, 1, 900].randomElement(using: &random) ?? 0 : 0)
            }
            // Something that no root explains may take the disk too.
            let disk = ByteCount.gibibytes(Int.random(in: 4...60, using: &random))
            var shortSince: Int?
            for second in 0..<600 {
                for number in world.running.keys.sorted() {
                    guard Int.random(in: 0..<40, using: &random) == 0, let size = world.running[number]?.size else {
                        continue
                    }
                    let step = Int.random(in: -1024...2048, using: &random)
                    world.running[number]?.size = max(.zero, size + .mebibytes(step))
                }
                for (number, launch) in world.running {
                    world.running[number]?.overSince =
                        launch.size > Self.limits.rootMax ? launch.overSince ?? second : nil
                }
                let taken = world.running.values.reduce(ByteCount.zero) { $0 + $1.size }
                let free = max(.zero, disk - taken)
                for verdict in world.pass(second: second, free: free) {
                    let number = try #require(world.number(of: verdict.launch))
                    let launch = try #require(world.running[number])
                    switch verdict.reason {
                    case .tooLarge: #expect(launch.size > Self.limits.rootMax)
                    case .tooManyNames, .tooManyOpen: Issue.record("all were whole")
                    case .diskNearlyFull(let size):
                        #expect(free < Self.limits.reserve && size > RootBounds.Limits.rootPromise)
                    }
                    world.running[number] = try Running(number, attempt: launch.attempt + 1, time: launch.time)
                    shortSince = nil
                }
                for launch in world.running.values where launch.time < 2 {
                    // A minute, a second look, and what others take of the quick lane.
                    #expect(second - (launch.overSince ?? second) <= 100, "seed \(seed)")
                }
                let left = disk - world.running.values.reduce(ByteCount.zero) { $0 + $1.size }
                let canEnd = world.running.values.contains {
                    $0.time < 2 && $0.size > RootBounds.Limits.rootPromise + .mebibytes(2048)
                }
                shortSince = left < Self.limits.reserve && canEnd ? shortSince ?? second : nil
                #expect(second - (shortSince ?? second) <= 30, "seed \(seed)")
                if free < Self.limits.reserve { #expect(world.bounds.isFull) }
            }
        }
    }
}
