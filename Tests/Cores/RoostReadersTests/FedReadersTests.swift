import RoostModel
import Testing

@testable import RoostReaders

/// Which readers a standby feeds.
@Suite struct FedReadersTests {
    private let names: [MemberName]
    private var now = Moment(sinceBoot: .seconds(100))
    private var fed = FedReaders()

    init() throws { names = try (1...9).map { try MemberName("r\($0)") } }

    private func call(
        _ number: Int, _ sequence: UInt64 = 1, isOfEpoch: Bool = true, _ need: FedReaders.Need = .stream
    ) -> FedReaders.Call {
        FedReaders.Call(member: names[number - 1], sequence: sequence, isOfEpoch: isOfEpoch, need: need)
    }

    /// Second after second, each says something new.
    private mutating func pass(
        _ seconds: Int, _ needs: [Int: FedReaders.Need], streaming: [Int] = []
    ) -> [[Int]] {
        (0..<seconds).map { _ in
            now = now + .seconds(1)
            let sequence = UInt64(now.sinceBoot.components.seconds)
            return choose(
                needs.sorted { $0.key < $1.key }.map { call($0.key, sequence, $0.value) }, streaming: streaming)
        }
    }

    private mutating func choose(_ calls: [FedReaders.Call], streaming: [Int] = []) -> [Int] {
        fed.choose(calls, streaming: Set(streaming.map { names[$0 - 1] }), now)
            .compactMap { names.firstIndex(of: $0).map { $0 + 1 } }
    }

    @Test mutating func soManyAndWhoStreamsStays() {
        #expect(choose((1...9).map { call($0) }) == [1, 2, 3, 4, 5, 6])
        #expect(choose((1...9).map { call($0) }, streaming: [7, 8, 9]) == [7, 8, 9, 1, 2, 3])
        #expect(choose((1...9).map { call($0) }, streaming: [4, 5, 6, 7, 8, 9]) == [4, 5, 6, 7, 8, 9])
    }

    @Test mutating func oneCopyAtATime() {
        let calls = (1...4).map { call($0, 1, $0 > 2 ? .stream : .copy) }
        #expect(choose(calls) == [1, 3, 4])
        #expect(choose(calls, streaming: [2]) == [2, 3, 4])
    }

    @Test mutating func whoSaysNothingNewHasNoPlaceUnlessItStreams() {
        #expect(choose([call(1), call(2)], streaming: [2]) == [2, 1])
        now = now + FedReaders.silenceMax
        #expect(choose([call(1), call(2)], streaming: [2]) == [2])
        #expect(choose([call(1, 2), call(2)], streaming: [2]) == [2, 1])
    }

    /// It hears the store and not this standby.
    @Test mutating func whoReadsNothingFromItsPlaceGoesBehindTheOthers() {
        let needs: [Int: FedReaders.Need] = [1: .restOfCopy, 2: .copy, 3: .copy]
        let turns = pass(300, needs).map { $0.first ?? 0 }
        #expect(turns.allSatisfy { $0 > 0 })
        #expect(Set(turns.prefix(190)) == [1, 2, 3])
        #expect(pass(600, [1: .stream]).allSatisfy { $0 == [1] }, "alone it may try for ever")
    }

    @Test mutating func aCopyThatComesToNothingIsTriedAgainAfterTheOthers() {
        #expect(pass(1, [1: .copy, 2: .copy]) == [[1]])
        #expect(pass(1, [1: .restOfCopy, 2: .copy], streaming: [1]) == [[1]])
        #expect(pass(1, [1: .copy, 2: .copy]) == [[2]])
        #expect(pass(9, [1: .copy, 2: .restOfCopy], streaming: [2]).allSatisfy { $0 == [2] })
        #expect(pass(1, [1: .copy, 2: .stream], streaming: [2]) == [[2, 1]])
    }

    /// Its disk is at it for minutes when all is read.
    @Test mutating func aCopyThatIsBeingFlushedKeepsItsPlace() {
        #expect(pass(1, [2: .restOfCopy], streaming: [2]) == [[2]])
        #expect(pass(1, [2: .restOfCopy], streaming: [2]) == [[2]])
        #expect(pass(600, [1: .copy, 2: .restOfCopy]).allSatisfy { $0 == [2] })
        #expect(pass(1, [1: .copy, 2: .stream]) == [[2, 1]])
    }

    /// A receiver that begins anew is none for a moment.
    @Test mutating func aStreamThatPausesKeepsItsPlaceForAWhile() {
        let all = Dictionary(uniqueKeysWithValues: (1...9).map { ($0, FedReaders.Need.stream) })
        let streaming = [4, 5, 6, 7, 8, 9]
        #expect(pass(2, all, streaming: streaming).allSatisfy { $0 == streaming })
        #expect(pass(30, all, streaming: [4, 5, 6, 7, 8]).allSatisfy { $0 == streaming })
        #expect(pass(31, all, streaming: [4, 5, 6, 7, 8]).last == [4, 5, 6, 7, 8, 1])
    }

    @Test mutating func whoIsOfAnotherEpochHasNone() {
        #expect(choose([call(1, isOfEpoch: false), call(2)]) == [2])
    }

    @Test func callsAreOfThoseThatSayThatTheyFollow() throws {
        let region = try RegionCode("ams")
        var spec = ClusterSpec(
            name: try AppName("r"), address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(), image: "x", members: [], createdAt: 0)
        spec.readers = names.map { .init(name: $0, region: region) }
        let (own, other) = (try MemberName("m2"), try MemberName("m3"))
        let reports = names.prefix(4).enumerated().map { number, name in
            var report = MemberReport(
                member: name, role: .standby, state: .running, promised: Epoch(number == 1 ? 2 : 1), position: nil,
                timeline: 1, replayed: .zero, isStreaming: true, lagBytes: 0, lagMilliseconds: 0,
                data: number == 2 ? .absent : .whole)
            report.upstream = number == 3 ? other : own
            if number == 0 { report.state = .cloning }
            return report
        }
        let calls = FedReaders.calls(for: own, in: .first, spec, reports)
        #expect(calls.map(\.member) == Array(names.prefix(3)))
        #expect(calls.map(\.isOfEpoch) == [true, false, true])
        #expect(calls.map(\.need) == [.restOfCopy, .stream, .copy])
    }
}
