import RoostModel
import Testing

@testable import RoostReaders

/// Which readers a standby feeds.
@Suite struct FedReadersTests {
    private let names: [MemberName]
    private var now = Moment(sinceBoot: .seconds(100))
    private var fed = FedReaders()

    init() throws { names = try (1...9).map { try MemberName("r\($0)") } }

    private func call(_ number: Int, _ sequence: UInt64 = 1, isOfEpoch: Bool = true, hasData: Bool = true)
        -> FedReaders.Call
    {
        FedReaders.Call(member: names[number - 1], sequence: sequence, isOfEpoch: isOfEpoch, hasData: hasData)
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
        let calls = (1...4).map { call($0, hasData: $0 > 2) }
        #expect(choose(calls) == [1, 3, 4])
        #expect(choose(calls, streaming: [2]) == [2, 3, 4])
    }

    @Test mutating func whoSaysNothingNewHasNoPlaceUnlessItStreams() {
        #expect(choose([call(1), call(2)], streaming: [2]) == [2, 1])
        now = now + FedReaders.silenceMax
        #expect(choose([call(1), call(2)], streaming: [2]) == [2])
        #expect(choose([call(1, 2), call(2)], streaming: [2]) == [2, 1])
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
        #expect(calls.map(\.hasData) == [false, true, false])
    }
}
