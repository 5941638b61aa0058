/// What a figure, or its ratio to a peer's, is to reach.
public struct BenchGoal: Sendable, Hashable, Codable {
    public enum Subject: String, Sendable, Codable { case ratio, figure }

    public enum Bound: String, Sendable, Codable {
        case atMost = "at_most"
        case atLeast = "at_least"
    }

    public var subject: Subject
    public var bound: Bound
    public var value: Double

    init(_ subject: Subject, _ bound: Bound, _ value: Double) {
        self.subject = subject
        self.bound = bound
        self.value = value
    }

    func isMet(by value: Double) -> Bool {
        switch bound {
        case .atMost: value <= self.value
        case .atLeast: value >= self.value
        }
    }
}
