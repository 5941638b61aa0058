import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// What is said where a name is taken already, and where to look.
@Suite struct TakenNameTests {
    private static let taken = #"{"error":"Name has already been taken","code":"name_taken","status":"name_taken"}"#

    @Test("Who makes an app or a cluster of a name that is taken is told by what, and how it is seen")
    func taken() async throws {
        let cluster = try Answers.json(try Answers.cluster(.ready))
        let none = #"{"error":"Postgres cluster shop not found","code":"not_found","status":"unknown"}"#
        let pg = ["pg", "create", "shop", "--region", "ams"]
        for (words, isCluster, holder, advice) in [
            (["apps", "create", "shop"], true, "there is an app 'shop' already", "roost apps show shop"),
            (pg, true, "there is a cluster 'shop' already", "roost pg status shop"),
            (pg, false, "there is an app 'shop' already, which is no cluster", "roost apps show shop"),
        ] {
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if request.line.hasPrefix("POST") { return .init(status: 422, parts: [Self.taken]) }
                return isCluster ? .init(parts: [cluster]) : .init(status: 404, parts: [none])
            }
            try await ScriptedHost.run(answering: answer) { host in
                let outcome = try await RoostProgram.run(words + ["--api", host.path])
                #expect(outcome.status == 1 && outcome.errors.contains(holder), "\(outcome)")
                #expect(outcome.errors.contains(advice), "\(outcome)")
            }
        }
    }
}
