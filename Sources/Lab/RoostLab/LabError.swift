/// Why a lab command failed, and what to do next.
public struct LabError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// What was asked for makes no sense.
        case usage
        /// It made sense, but did not work.
        case failed
    }

    public let kind: Kind
    public let message: String
    /// What to do next, if there is something.
    public let advice: String?

    public init(_ kind: Kind, _ message: String, advice: String? = nil) {
        self.kind = kind
        self.message = message
        self.advice = advice
    }

    public var description: String { advice.map { "\(message): \($0)" } ?? message }
}
