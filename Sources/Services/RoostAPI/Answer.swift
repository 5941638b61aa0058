public import Foundation
public import RoostModel
import RoostWire

/// An answer that comes piece by piece.
public protocol AnswerStream {
    /// The next piece; nil at the end.
    mutating func next() async throws -> Data?
}

/// What a route answers. Every answer of the API is made here, so that all speak the same JSON.
public struct Answer: Sendable {
    public enum Body: Sendable {
        case bytes(Data)
        /// Written for as long as there is something to say, or until the caller hangs up.
        case stream(@Sendable () -> any AnswerStream)
    }

    public var status: Int
    public var contentType: String
    public var headers: [(name: String, value: String)] = []
    public var body: Body

    public init(status: Int = 200, contentType: String, body: Body) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    static let jsonType = "application/json"
    /// A caller that was refused for a passing reason may come back after this many seconds.
    static let retryAfter = "1"

    public static func json(_ value: some Encodable, status: Int = 200) throws(Refusal) -> Answer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Answer(status: status, contentType: jsonType, body: .bytes(try encoder.encode(value)))
        } catch {
            // A number that is none (JSON has no infinity) is a fault of this program.
            throw Refusal(.failed, "the answer cannot be written as JSON")
        }
    }

    public static func ok(status: Int = 200) throws(Refusal) -> Answer { try json(OKBody(), status: status) }

    public static func text(_ text: String, type: String = "text/plain; charset=utf-8") -> Answer {
        Answer(contentType: type, body: .bytes(Data(text.utf8)))
    }

    /// Errors repeat what was sent; what was sent may be long.
    static let messageLengthMax = 4000

    /// A refusal as it is sent.
    static func refusal(_ refusal: Refusal) -> Answer {
        var body = ErrorBody(refusal)
        body.error = String(body.error.prefix(messageLengthMax))
        var answer = error(body, status: refusal.code.status)
        switch refusal.code {
        case .tooMany, .unavailable: answer.headers.append(("retry-after", retryAfter))
        case .invalid, .notFound, .methodNotAllowed, .failedPrecondition, .alreadyExists, .nameTaken,
            .insufficientCapacity, .deadlineExceeded, .outcomeUnknown, .notImplemented, .failed:
            break
        }
        return answer
    }

    static var unauthorized: Answer {
        error(ErrorBody(error: "a valid token is needed: Authorization: Bearer TOKEN"), status: 401)
    }

    private static func error(_ body: ErrorBody, status: Int) -> Answer {
        (try? json(body, status: status)) ?? Answer(status: status, contentType: jsonType, body: .bytes(Data()))
    }
}
