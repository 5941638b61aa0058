public struct AnycastError: Error, Sendable, CustomStringConvertible {
    public let operation: String
    public let subject: String
    public let cause: String

    public init(operation: String, subject: String, cause: String) {
        self.operation = operation
        self.subject = subject
        self.cause = cause
    }

    public var description: String { "anycast: \(operation) \(subject): \(cause)" }
}
