import RoostModel
import Testing

@testable import RoostMachineLife

@Suite struct RootBoundsTests {
    private static let limits = RootBounds.Limits(rootMax: .gibibytes(8), reserve: .gibibytes(2))
    private static let plenty = ByteCount.gibibytes(100)

    private static func id(_ number: Int) throws -> MachineID {
        let hex = String(number, radix: 16)
        return try MachineID(String(repeating: "0", count: 14 - hex.utf8.count) + hex)
    }

    private static func root(
        _ number: Int, _ size: ByteCount, attempt: String = "a", isWhole: Bool = true
    ) throws -> RootBounds.Root {
        RootBounds.Root(machine: try id(number), attempt: attempt, size: size, isWhole: isWhole)
    }

    private static func at(_ seconds: Int) -> Moment { Moment(sinceBoot: .seconds(seconds)) }

    @Test("A root that is too large at two looks in a row ends; another launch begins anew")
    func tooLarge() throws {
        var bounds = RootBounds(limits: Self.limits)
        let (large, fine) = (try Self.root(1, .gibibytes(9)), try Self.root(2, .gibibytes(8)))
        #expect(bounds.see([large, fine], free: Self.plenty, since: Self.at(0), at: Self.at(0)).isEmpty)
        let relaunched = try Self.root(1, .gibibytes(9), attempt: "b")
        #expect(bounds.see([relaunched, fine], free: Self.plenty, since: Self.at(5), at: Self.at(5)).isEmpty)
        let verdicts = bounds.see([relaunched, fine], free: Self.plenty, since: Self.at(10), at: Self.at(10))
        #expect(verdicts.map(\.machine) == [large.machine] && verdicts.map(\.attempt) == ["b"])
        #expect(verdicts.first?.reason == .tooLarge(.gibibytes(9), max: .gibibytes(8)))
        #expect(verdicts.first?.words.contains("9 GiB") == true && verdicts.first?.words.contains("8 GiB") == true)
        let deep = try Self.root(3, .mebibytes(1), isWhole: false)
        #expect(bounds.see([deep], free: Self.plenty, since: Self.at(15), at: Self.at(15)).isEmpty)
        let second = bounds.see([deep], free: Self.plenty, since: Self.at(20), at: Self.at(20))
        #expect(second.map(\.reason) == [.tooManyNames])
        // It shrank in between.
        #expect(bounds.see([large], free: Self.plenty, since: Self.at(25), at: Self.at(25)).isEmpty)
        #expect(bounds.see([try Self.root(1, .zero)], free: Self.plenty, since: Self.at(30), at: Self.at(30)).isEmpty)
        #expect(bounds.see([large], free: Self.plenty, since: Self.at(35), at: Self.at(35)).isEmpty)
    }

    @Test(
        "With the disk nearly full no machine is taken, the largest root ends, one at a time, and none within its promise"
    )
    func nearlyFull() throws {
        var bounds = RootBounds(limits: Self.limits)
        let short = ByteCount.gibibytes(1)
        let small = try Self.root(1, RootBounds.Limits.rootPromise)
        let (middle, large) = (try Self.root(2, .gibibytes(1)), try Self.root(3, .gibibytes(2)))
        #expect(bounds.see(free: short, at: Self.at(0)) && bounds.isFull)
        let first = bounds.see([small, large, middle], free: short, since: Self.at(0), at: Self.at(0))
        #expect(first.map(\.machine) == [large.machine] && first.first?.reason == .diskNearlyFull(.gibibytes(2)))
        #expect(bounds.see([small, middle], free: short, since: Self.at(5), at: Self.at(5)).isEmpty)
        let second = bounds.see([small, middle], free: short, since: Self.at(10), at: Self.at(10))
        #expect(second.map(\.machine) == [middle.machine])
        #expect(bounds.see([small], free: short, since: Self.at(30), at: Self.at(30)).isEmpty)
        _ = bounds.see(free: .gibibytes(2), at: Self.at(31))
        #expect(bounds.isFull)
        _ = bounds.see(free: .mebibytes(2560), at: Self.at(32))
        #expect(!bounds.isFull)
    }

    @Test("Roots are looked at slowly, and quickly when the disk is short or shrinks or a root was too large")
    func beats() throws {
        var bounds = RootBounds(limits: Self.limits)
        #expect(bounds.see(free: Self.plenty, at: Self.at(0)) == true)
        _ = bounds.see([], free: Self.plenty, since: Self.at(0), at: Self.at(0))
        #expect(!bounds.see(free: Self.plenty, at: Self.at(59)) && bounds.see(free: Self.plenty, at: Self.at(60)))
        let shrunk = Self.plenty - .mebibytes(512)
        #expect(!bounds.see(free: shrunk, at: Self.at(4)) && bounds.see(free: shrunk, at: Self.at(5)))
        #expect(bounds.see(free: .gibibytes(3), at: Self.at(5)) == true)
        _ = bounds.see([try Self.root(1, .gibibytes(9))], free: Self.plenty, since: Self.at(60), at: Self.at(60))
        #expect(bounds.see(free: Self.plenty, at: Self.at(65)) == true)
        // A look that took long is not followed by another at once.
        _ = bounds.see([], free: .gibibytes(3), since: Self.at(70), at: Self.at(80))
        #expect(!bounds.see(free: .gibibytes(3), at: Self.at(119)) && bounds.see(free: .gibibytes(3), at: Self.at(120)))
    }

    @Test(
        "Over many hosts: nobody ends within the bounds, every root that stays too large ends, and one after the other does while the disk is short"
    )
    func hosts() throws {
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            var bounds = RootBounds(limits: Self.limits)
            var launches: [Int: (attempt: Int, size: ByteCount, overSince: Int?)] = [:]
            for number in 0..<Int.random(in: 1...12, using: &random) { launches[number] = (0, .zero, nil) }
            // Something that no root explains may take the disk too.
            let disk = ByteCount.gibibytes(Int.random(in: 4...60, using: &random))
            var shortSince: Int?
            for second in stride(from: 0, to: 600, by: 1) {
                for number in launches.keys.sorted() {
                    guard Int.random(in: 0..<40, using: &random) == 0, var launch = launches[number] else { continue }
                    let step = Int.random(in: -1024...2048, using: &random)
                    launch.size = max(.zero, launch.size + .mebibytes(step))
                    launches[number] = launch
                }
                for (number, launch) in launches {
                    let isOver = launch.size > Self.limits.rootMax
                    launches[number]?.overSince = isOver ? launch.overSince ?? second : nil
                }
                let taken = launches.values.reduce(ByteCount.zero) { $0 + $1.size }
                let free = max(.zero, disk - taken)
                if bounds.see(free: free, at: Self.at(second)) {
                    let roots = try launches.map { try Self.root($0, $1.size, attempt: "\($1.attempt)") }
                    for verdict in bounds.see(roots, free: free, since: Self.at(second), at: Self.at(second)) {
                        let number = try #require(launches.keys.first { (try? Self.id($0)) == verdict.machine })
                        let launch = try #require(launches[number])
                        #expect(verdict.attempt == "\(launch.attempt)")
                        switch verdict.reason {
                        case .tooLarge: #expect(launch.size > Self.limits.rootMax)
                        case .tooManyNames: Issue.record("all were whole")
                        case .diskNearlyFull:
                            #expect(free < Self.limits.reserve && launch.size > RootBounds.Limits.rootPromise)
                            #expect(launches.values.allSatisfy { $0.size <= launch.size })
                        }
                        launches[number] = (launch.attempt + 1, .zero, nil)
                        shortSince = nil
                    }
                }
                for launch in launches.values { #expect(second - (launch.overSince ?? second) <= 66, "seed \(seed)") }
                let left = disk - launches.values.reduce(ByteCount.zero) { $0 + $1.size }
                let canEnd = launches.values.contains { $0.size > RootBounds.Limits.rootPromise }
                shortSince = left < Self.limits.reserve && canEnd ? shortSince ?? second : nil
                #expect(second - (shortSince ?? second) <= 16, "seed \(seed)")
                if free < Self.limits.reserve { #expect(bounds.isFull) }
            }
        }
    }
}
