import Foundation
import HTTPTypes
import RoostControl
import RoostHost
import RoostModel
import RoostWire
import Testing

@testable import RoostAPI

@Suite struct AnswerTests {
    @Test func everyRefusalHasItsStatus() {
        let table: [Refusal.Code: Int] = [
            .invalid: 400, .notFound: 404, .failedPrecondition: 412, .alreadyExists: 409, .nameTaken: 422,
            .insufficientCapacity: 422, .deadlineExceeded: 408, .unavailable: 503, .outcomeUnknown: 504,
            .notImplemented: 501, .failed: 500,
        ]
        for code in Refusal.Code.allCases { #expect(Answer.status(of: code).code == table[code], "\(code)") }
    }

    /// What one host refuses is the same refusal at the host that passed the request on.
    @Test(arguments: Refusal.Code.allCases)
    func aRefusalSurvivesTheWayOverAnotherHost(code: Refusal.Code) throws {
        let body = ErrorBody(error: "because", status: Answer.word(for: code))
        let reply = PeerClient.Reply(
            status: Answer.status(of: code).code, contentType: "application/json", body: try JSONEncoder().encode(body))
        #expect(PeerClient.refusal(reply, from: try HostName("ams1")) == Refusal(code, "because"))
    }

    @Test(arguments: [
        ("registry.example/team/app:1.2", "registry.example", "team/app", "1.2", ""),
        ("localhost:5000/app", "localhost:5000", "app", "", ""),
        ("localhost:5000/app:tag@sha256:abc", "localhost:5000", "app", "tag", "sha256:abc"),
        ("library/redis", "", "library/redis", "", ""), ("redis:7", "", "redis", "7", ""),
        ("redis@sha256:abc", "", "redis", "", "sha256:abc"), ("", "", "", "", ""), (":", "", "", "", ""),
        ("@", "", "@", "", ""), ("a/", "", "a/", "", ""),
    ])
    func imageNamesAreTakenApart(
        reference: String, registry: String, repository: String, tag: String, digest: String
    ) {
        let parts = ImageRefBody(reference: reference)
        let expected = ImageRefBody(registry: registry, repository: repository, tag: tag, digest: digest)
        #expect(parts == expected)
    }
}
