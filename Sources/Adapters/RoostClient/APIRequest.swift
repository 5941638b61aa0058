public import FoundationEssentials

public enum APIMethod: String, Sendable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
}

/// One call, as bytes. What ``RoostAPIClient/send(_:_:query:body:as:timeout:)`` makes of typed values, and what a
/// host that passes a caller's request on to another host builds itself.
public struct APIRequest: Sendable {
    public var method: APIMethod
    /// Begins with `/`; already percent-encoded.
    public var path: String
    /// Encoded on the way out.
    public var query: [(name: String, value: String)]
    /// In addition to the token and the content type.
    public var headers: [(name: String, value: String)]
    /// JSON, or nothing.
    public var body: Data?
    /// From the first byte out to the last byte in.
    public var timeout: Duration
    public var answerBytesMax: Int

    public static let timeoutDefault = Duration.seconds(30)
    public static let answerBytesMaxDefault = 16 << 20

    public init(
        _ method: APIMethod, _ path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], body: Data? = nil, timeout: Duration = timeoutDefault,
        answerBytesMax: Int = answerBytesMaxDefault
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.answerBytesMax = answerBytesMax
    }

    /// Path and query as they stand in the request line.
    var target: String {
        guard !query.isEmpty else { return path }
        return path + "?"
            + query.map { "\(percentEncoded($0.name))=\(percentEncoded($0.value))" }.joined(separator: "&")
    }

    /// For errors and logs.
    public var operation: String { "\(method.rawValue) \(path)" }
}

/// A host's answer, whatever its status.
public struct APIResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: Data

    public init(status: Int, headers: [(name: String, value: String)], body: Data) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public var isSuccess: Bool { (200...299).contains(status) }

    /// The first header of that name, in any case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    public var requestID: String? { header("fly-request-id") }
}
