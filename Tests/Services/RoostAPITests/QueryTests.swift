import RoostModel
import Testing

@testable import RoostAPI

@Suite struct QueryTests {
    @Test(arguments: [("limit=1", 1), ("limit=50", 50), ("", 20), ("other=3", 20), ("limit=", 20)])
    func numbersAreTaken(query: String, expected: Int) throws {
        #expect(try APIQuery(query).number("limit", default: 20, within: 1...50) == expected)
    }

    @Test(arguments: ["limit=0", "limit=51", "limit=-1", "limit=x", "limit=1.5", "limit=99999999999999999999"])
    func numbersOutOfRangeAreRefused(query: String) {
        #expect(throws: Refusal(.invalid, "limit must be 1 to 50")) {
            try APIQuery(query).number("limit", default: 20, within: 1...50)
        }
    }

    @Test func flagsAreTrueOrFalse() throws {
        for query in ["force=true", "force=1"] { #expect(try APIQuery(query).flag("force")) }
        for query in ["force=false", "force=0", "", "kill=true"] { #expect(try !APIQuery(query).flag("force")) }
    }

    @Test(
        "An empty flag is a variable that was not set: it is no yes",
        arguments: ["force=", "force", "force=maybe", "force=TRUE", "force=true&force=true"])
    func emptyFlags(query: String) {
        #expect(throws: Refusal.self) { try APIQuery(query).flag("force") }
    }

    @Test func durationsAreSecondsOrGo() throws {
        #expect(try APIQuery("timeout=5").duration("timeout") == .seconds(5))
        #expect(try APIQuery("timeout=1m30s").duration("timeout") == .seconds(90))
        #expect(try APIQuery("").duration("timeout") == nil)
        for query in ["timeout=-1", "timeout=abc", "timeout=1.5"] {
            #expect(throws: Refusal.self) { try APIQuery(query).duration("timeout") }
        }
    }

    @Test("A name comes several times, or its values with commas between them")
    func lists() throws {
        #expect(APIQuery("state=started&state=stopped,failed&x=1").list("state") == ["started", "stopped", "failed"])
        #expect(APIQuery("state=").list("state").isEmpty)
        #expect(throws: Refusal.self) { try APIQuery("a=1&a=2").text("a") }
    }

    @Test func textsAreDecoded() throws {
        #expect(try APIQuery("a=b%20c+d%2B%").text("a") == "b c d+%")
        #expect(APIQuery("metadata.a%2Fb=x=y").beginning("metadata.").map(\.name) == ["a/b"])
        #expect(APIQuery("metadata.a%2Fb=x=y").beginning("metadata.").map(\.value) == ["x=y"])
    }

    @Test(
        "A name that a route does not act on is refused by that name",
        arguments: [
            ("limt=1", "limt"), ("limit=1&State=stopped", "State"), ("metadata=x", "metadata"), ("x", "x"),
        ])
    func unknownNames(query: String, name: String) {
        let refusal = #expect(throws: Refusal.self) { try APIQuery(query).refuseUnknown(["limit", "metadata."]) }
        #expect(refusal?.message.contains("'\(name)' is not supported") == true)
    }

    @Test func knownNamesPass() throws {
        try APIQuery("limit=1&metadata.role=web&metadata.=x").refuseUnknown(["limit", "metadata."])
        try APIQuery(nil).refuseUnknown([])
        #expect(throws: Refusal.self) {
            try APIQuery(Array(repeating: "limit=1", count: 65).joined(separator: "&")).refuseUnknown(["limit"])
        }
    }
}
