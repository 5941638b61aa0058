import RoostClient
import RoostModel
import Testing

@testable import RoostControl

@Suite struct PeerClientTests {
    @Test("What a caller is told to do next is not said of what goes on by itself")
    func obstacles() throws {
        let host = try HostName("ams1")
        for cause in [APIError.Cause.unreachable("no route; really"), .unanswered("late"), .cancelled] {
            let refusal = PeerClient.refusal(
                APIError(cause, operation: "PUT", endpoint: .mesh(host, port: 1)), of: host)
            let words = refusal.obstacle
            #expect(!words.contains("try again") && words.hasSuffix("; it is tried again by itself"), "\(words)")
            #expect(words.hasPrefix("host ams1 ") || words.hasPrefix("cancelled while"), "\(words)")
        }
        for (message, obstacle) in [
            ("db-2 cannot leave: no room", "db-2 cannot leave: no room"),
            ("changed at once; try again", "changed at once; it is tried again by itself"),
            ("db-1 is still leaving; try again in a moment", "db-1 is still leaving; it is tried again by itself"),
            ("ams1: full; try again; iad1: full", "ams1: full; try again; iad1: full"),
        ] {
            #expect(Refusal(.unavailable, message).obstacle == obstacle)
        }
    }

    @Test("Only a host that was not reached is said to have changed nothing")
    func refusals() throws {
        let host = try HostName("ams1")
        let causes: [(APIError.Cause, Refusal.Code)] = [
            (.unreachable("no route"), .unavailable), (.unanswered("late"), .outcomeUnknown),
            (.cancelled, .outcomeUnknown), (.unreadable("?"), .failed),
        ]
        for (cause, code) in causes {
            let error = APIError(cause, operation: "PUT", endpoint: .mesh(host, port: 4280))
            #expect(PeerClient.refusal(error, of: host).code == code)
        }
    }
}
