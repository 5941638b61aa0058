import Foundation
import RoostModel
import RoostWire
import Testing

@testable import RoostAPI

@Suite struct ErrorTests {
    @Test func everyRefusalHasItsStatus() {
        let table: [Refusal.Code: Int] = [
            .invalid: 400, .notFound: 404, .methodNotAllowed: 405, .failedPrecondition: 412, .alreadyExists: 409,
            .nameTaken: 422,
            .insufficientCapacity: 422, .deadlineExceeded: 408, .tooMany: 429, .unavailable: 503,
            .outcomeUnknown: 504, .notImplemented: 501, .failed: 500,
        ]
        for code in Refusal.Code.allCases { #expect(code.status == table[code], "\(code)") }
    }

    @Test(
        "What one host refuses is the same refusal at the host that passed the call on",
        arguments: Refusal.Code.allCases)
    func overAnotherHost(code: Refusal.Code) throws {
        let answer = Answer.refusal(Refusal(code, "because"))
        guard case .bytes(let bytes) = answer.body else {
            Issue.record("an error is no stream")
            return
        }
        let body = try JSONDecoder().decode(ErrorBody.self, from: bytes)
        #expect(Refusal(status: answer.status, body: body, from: try HostName("ams1")) == Refusal(code, "because"))
        #expect(Refusal.Code(word: code.word) == code)
    }

    @Test("A host of the first version, which sends no code, is understood as far as its status goes")
    func withoutCode() throws {
        func code(_ status: Int, _ text: String) throws -> Refusal.Code {
            let body = try JSONDecoder().decode(ErrorBody.self, from: Data(text.utf8))
            return Refusal(status: status, body: body, from: try HostName("ams1")).code
        }
        #expect(try code(422, #"{"error":"a","status":"insufficient_capacity"}"#) == .insufficientCapacity)
        #expect(try code(422, #"{"error":"a","status":"name_taken"}"#) == .nameTaken)
        #expect(try code(422, #"{"error":"a","status":"unknown"}"#) == .failed)
        #expect(try code(503, #"{"error":"a","status":"unknown"}"#) == .unavailable)
        #expect(try code(418, #"{"error":"a","status":"of a newer version","code":"also new"}"#) == .failed)
    }

    @Test("Fly.io's clients look for the beginning of a failed precondition, people do not see it")
    func prefix() {
        let body = ErrorBody(Refusal(.failedPrecondition, "unable to start machine from current state: 'created'"))
        #expect(body.error == "failed_precondition: unable to start machine from current state: 'created'")
        #expect(body.words == "unable to start machine from current state: 'created'")
        #expect(ErrorBody(Refusal(.notFound, "no")).error == "no")
    }

    @Test("Only what may pass says when to come back")
    func retryAfter() {
        for code in Refusal.Code.allCases {
            let hasHint = Answer.refusal(Refusal(code, "")).headers.contains { $0.name == "retry-after" }
            #expect(hasHint == (code == .tooMany || code == .unavailable), "\(code)")
        }
    }

    @Test("What is meant for the host's log goes to nobody else; the caller learns where to look")
    func details() throws {
        let refusal = Refusal(.failed, "the host cannot write its ledger", details: "/var/lib/roost/ledger.sqlite: EIO")
        #expect(refusal.description.contains("ledger.sqlite"))
        let answer = Answer.refusal(refusal.naming("0123"))
        guard case .bytes(let bytes) = answer.body else {
            Issue.record("an error is no stream")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("ledger.sqlite") && text.contains("under 0123"), "\(text)")
        #expect(Refusal(.failed, "why").naming("0123").message == "why")
        // Another host may pass it on, and its log has nothing of it.
        #expect(refusal.naming("0123", at: try HostName("iad1")).message.contains("the log of host iad1 has more"))
    }
}
