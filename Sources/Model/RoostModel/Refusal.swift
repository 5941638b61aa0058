/// Why a host refused an order. The code decides the HTTP status; the message tells a person what to do next.
public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable, CaseIterable {
        case invalid
        case notFound
        /// The thing exists but is not in a state that allows the order.
        case failedPrecondition
        case alreadyExists
        case nameTaken
        case insufficientCapacity
        case deadlineExceeded
        /// The caller, or the machine it asks for, is at one of the bounds of the API; nothing was changed.
        case tooMany
        /// The store or another host does not answer; nothing was changed.
        case unavailable
        /// Nobody knows whether it was carried out.
        case outcomeUnknown
        case notImplemented
        case failed
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
