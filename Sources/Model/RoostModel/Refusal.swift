/// Why a host refused an order. The code decides the HTTP status; the message tells a person what to do next.
public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of no it is; RoostWire has its word and its HTTP status.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// The request is wrong and will be whoever is asked, and whenever.
        case invalid
        /// There is no such thing on any host that could be asked.
        case notFound
        /// The path exists, and something else can be done there.
        case methodNotAllowed
        /// The thing exists but is not in a state that allows the order.
        case failedPrecondition
        /// The id is used by another thing.
        case alreadyExists
        /// A name that has to be unique is another's; Fly has a word of its own for it.
        case nameTaken
        /// No host has room for it, or none of the bounded things (addresses, names) is left.
        case insufficientCapacity
        /// A wait, or a command in a machine, was not over in the time that it was given.
        case deadlineExceeded
        /// The caller, or the machine it asks for, is at one of the bounds of the API; nothing was changed.
        case tooMany
        /// The store or another host does not answer; nothing was changed.
        case unavailable
        /// Nobody knows whether it was carried out.
        case outcomeUnknown
        /// Fly.io's API has it, this version does not.
        case notImplemented
        /// The host could not do it, by a fault of its own or of what it runs; it may be partly done.
        case failed
    }

    /// For programs.
    public let code: Code
    /// For people: what was attempted on what, why not, and what to do next.
    public let message: String

    /// For the host's log and nobody else: paths, command lines and words of other programs.
    public let details: String?

    /// Thrown where an order is examined.
    public init(_ code: Code, _ message: String, details: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
    }

    /// What is not in the app that it was looked for in. A planet has one owner, who may know whose it is instead.
    ///
    /// - Parameter other: the app that it is of; nil: of none, or of `app` and gone meanwhile.
    public static func absence(of thing: String, from app: AppName, butOf other: AppName?) -> Refusal {
        guard let other, other != app else { return Refusal(.notFound, "\(thing) not found") }
        return Refusal(.notFound, "\(thing) not found in app \(app): it belongs to app \(other)")
    }

    /// As it stands in the host's log. To whoever asked goes ``message`` alone.
    public var description: String { details.map { "\(message): \($0)" } ?? message }
}
