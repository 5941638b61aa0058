import RoostClient
import RoostModel
import Testing

@testable import RoostControl

@Suite struct PeerClientTests {
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
