public import RoostModel

/// The body of every answer that says no.
public struct ErrorBody: Sendable, Codable, Hashable {
    /// Fly.io's own words for some refusals.
    public enum Status: String, Sendable, Codable {
        /// All that Fly.io has no word for, which is most.
        case unknown
        /// There is no room; its clients then try another region.
        case insufficientCapacity = "insufficient_capacity"
        /// An app or machine of that name exists.
        case nameTaken = "name_taken"
    }

    /// What went wrong, in words for people.
    public var error: String
    /// Fly.io's word, or `unknown` where it has none.
    public var status: Status
    /// Roost's word, one for each ``Refusal/Code``; nil from a program that knows none.
    public var code: String?

    /// A refusal that has no code of its own.
    public init(error: String, status: Status = .unknown) {
        self.error = error
        self.status = status
    }

    /// A refusal as it is sent. A failed precondition begins as Fly.io's do, because its clients look for that.
    public init(_ refusal: Refusal) {
        let isPrecondition = refusal.code == .failedPrecondition
        error = isPrecondition ? Self.preconditionPrefix + refusal.message : refusal.message
        status =
            switch refusal.code {
            case .insufficientCapacity: .insufficientCapacity
            case .nameTaken: .nameTaken
            case .invalid, .notFound, .methodNotAllowed, .failedPrecondition, .alreadyExists, .deadlineExceeded,
                .tooMany, .unavailable, .outcomeUnknown, .notImplemented, .failed:
                .unknown
            }
        code = refusal.code.word
    }

    static let preconditionPrefix = "failed_precondition: "

    /// What went wrong, without the prefix that is there for programs.
    public var words: String {
        error.hasPrefix(Self.preconditionPrefix) ? String(error.dropFirst(Self.preconditionPrefix.count)) : error
    }

    /// A status of a newer version does not make an answer unreadable.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        error = try container.decode(String.self, forKey: .error)
        status = (try? container.decodeIfPresent(Status.self, forKey: .status)) ?? .unknown
        code = try? container.decodeIfPresent(String.self, forKey: .code)
    }
}

/// The one table between refusals, their words on the wire and the statuses of HTTP; every other direction follows from
/// it.
extension Refusal.Code {
    /// The word in ``ErrorBody/code``.
    public var word: String {
        switch self {
        case .invalid: "invalid"
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        case .failedPrecondition: "failed_precondition"
        case .alreadyExists: "already_exists"
        case .nameTaken: "name_taken"
        case .insufficientCapacity: "insufficient_capacity"
        case .deadlineExceeded: "deadline_exceeded"
        case .tooMany: "too_many_requests"
        case .unavailable: "unavailable"
        case .outcomeUnknown: "outcome_unknown"
        case .notImplemented: "not_implemented"
        case .failed: "failed"
        }
    }

    /// The status of HTTP. 503: nothing was changed. 504: nobody knows.
    public var status: Int {
        switch self {
        case .invalid: 400
        case .notFound: 404
        case .methodNotAllowed: 405
        case .failedPrecondition: 412
        case .alreadyExists: 409
        case .nameTaken, .insufficientCapacity: 422
        case .deadlineExceeded: 408
        case .tooMany: 429
        case .unavailable: 503
        case .outcomeUnknown: 504
        case .notImplemented: 501
        case .failed: 500
        }
    }

    /// The code of a word.
    public init?(word: String) {
        guard let code = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = code
    }

    /// The code of an answer: its word if it has one that is known, else what its status means. Two codes share 422, and
    /// there only the word can tell them apart.
    public init(status: Int, word: String?) {
        if let code = word.flatMap(Self.init(word:)) {
            self = code
            return
        }
        let candidates = Self.allCases.filter { $0.status == status }
        self = candidates.count == 1 ? candidates[0] : .failed
    }

    /// True when the refusal is also the word that nothing was changed.
    public var changedNothing: Bool {
        switch self {
        case .invalid, .notFound, .methodNotAllowed, .failedPrecondition, .alreadyExists, .nameTaken,
            .insufficientCapacity, .tooMany, .unavailable, .notImplemented:
            true
        case .deadlineExceeded, .outcomeUnknown, .failed: false
        }
    }
}

extension Refusal {
    /// What an answer with another status than 2xx says.
    ///
    /// - Parameter host: who gave it, for an answer that has no words.
    public init(status: Int, body: ErrorBody?, from host: HostName) {
        self.init(
            Code(status: status, word: body?.code ?? body.map(\.status.rawValue)),
            body?.words ?? "host \(host) answered with status \(status)")
    }
}
