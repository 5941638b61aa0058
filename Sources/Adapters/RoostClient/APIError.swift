public import RoostWire

/// Why a call to a `roostd` did not give what was asked for.
public struct APIError: Error, CustomStringConvertible {
    public enum Cause: Sendable {
        /// No connection was made, so nothing was carried out. Another host may be asked.
        case unreachable(String)
        /// The request may have arrived and the answer did not: nobody knows whether it was carried out.
        case unanswered(String)
        /// The host answered and said no.
        case refused(status: Int, body: ErrorBody)
        /// The answer is not what this call expects: most likely another program, or another version, listens there.
        case unreadable(String)
        /// The caller's task was cancelled.
        case cancelled
    }

    public let cause: Cause
    /// Method and path.
    public let operation: String
    public let endpoint: APIEndpoint
    /// `fly-request-id` of the answer, to find it in the host's log.
    public let requestID: String?

    public init(_ cause: Cause, operation: String, endpoint: APIEndpoint, requestID: String? = nil) {
        self.cause = cause
        self.operation = operation
        self.endpoint = endpoint
        self.requestID = requestID
    }

    /// The HTTP status, if the host answered with an error.
    public var status: Int? {
        guard case .refused(let status, _) = cause else { return nil }
        return status
    }

    public var isNotFound: Bool { status == 404 }

    /// True if nothing can have been carried out, so that asking another host is safe whatever the request was.
    public var isUnreachable: Bool {
        guard case .unreachable = cause else { return false }
        return true
    }

    public var description: String {
        switch cause {
        case .unreachable(let why):
            "cannot reach roostd at \(endpoint) for \(operation): \(why)"
        case .unanswered(let why):
            "\(operation) at \(endpoint) was not answered (\(why)): it may or may not have been carried out"
        case .refused(let status, let body):
            "\(body.words) (\(operation): \(status)\(requestID.map { ", request \($0)" } ?? ""))"
        case .unreadable(let why):
            "the answer of \(endpoint) to \(operation) is not understood: \(why)"
        case .cancelled:
            "\(operation) was cancelled"
        }
    }
}
