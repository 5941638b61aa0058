import RoostModel
import Testing

@Suite struct PostgresNamesTests {
    @Test(arguments: 1...63) func everyNameThatIsTakenFitsWhateverTheEpoch(_ length: Int) throws {
        let cluster = try AppName(String(repeating: "a", count: length))
        guard length <= PostgresNames.clusterBytesMax else {
            let error = #expect(throws: InvalidValue.self) { try PostgresNames.member(1, of: cluster) }
            #expect(error?.description.contains("at most \(PostgresNames.clusterBytesMax) letters") == true)
            return
        }
        let last = PostgresNames.numberMax(of: cluster)
        #expect(last >= PostgresNames.membersMax && last <= 999)
        for number in [1, PostgresNames.membersMax, last] {
            let member = try PostgresNames.member(number, of: cluster)
            #expect("\(member).e\(UInt64.max)".utf8.count <= 63)
            #expect("\(member)_e\(UInt64.max)".utf8.count <= 63)
        }
        #expect(throws: InvalidValue.self) { try PostgresNames.member(last + 1, of: cluster) }
    }

    @Test func theLimitIsNoStricterThanItMustBe() {
        #expect(PostgresNames.clusterBytesMax == 39)
    }
}
