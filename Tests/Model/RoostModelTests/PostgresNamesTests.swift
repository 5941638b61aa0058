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

    @Test(
        "What a refusal of a name says is the whole rule: of a length that is too long, and of each letter that is wrong",
        arguments: ["", "a-", "-a", "1a", "A", "a.b", "ä", String(repeating: "a", count: 64)])
    func rulesAreWhole(text: String) throws {
        func words(_ make: () throws -> Void) throws -> String {
            try #require(#expect(throws: InvalidValue.self) { try make() }).description
        }
        let ends = "starting with a letter and ending with a letter or digit"
        for said in [
            try words { _ = try AppName(text) }, try words { _ = try HostName(text) },
            try words { _ = try MemberName(text) }, try words { _ = try NetworkName(text) },
        ] {
            #expect(said.contains("1 to 63") && said.contains(ends))
        }
        let cluster = try words { _ = try PostgresNames.cluster(text) }
        #expect(cluster.contains("at most 39 letters") && cluster.contains(ends) && !cluster.contains("63"))
    }

    @Test func theNameOfAClusterIsAnAppsButShorter() throws {
        #expect(try PostgresNames.cluster("orders-2").text == "orders-2")
        let longest = String(repeating: "a", count: PostgresNames.clusterBytesMax)
        #expect(try PostgresNames.cluster(longest).text == longest)
        #expect(throws: InvalidValue.self) { try PostgresNames.cluster(longest + "a") }
    }

    @Test func theLimitIsNoStricterThanItMustBe() {
        #expect(PostgresNames.clusterBytesMax == 39)
    }
}
