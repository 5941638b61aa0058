import AsyncHTTPClient
public import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import RoostModel
import RoostWire

/// Speaks to one `roostd`. A value: cheap to make, and all of them share one pool of connections that lives as long
/// as the process.
public struct RoostAPIClient: Sendable {
    public let endpoint: APIEndpoint
    let token: String?

    /// - Parameter token: sent as a bearer token over TCP; a socket needs none.
    public init(_ endpoint: APIEndpoint, token: String? = nil) {
        self.endpoint = endpoint
        self.token = token
    }

    public static let connectTimeout = Duration.seconds(3)
    /// Streams hold their connection, so this bounds the watches of one process on one host.
    public static let connectionsPerHostMax = 256
    public static let idleConnectionTimeout = Duration.seconds(10)

    static let pool: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .nanoseconds(connectTimeout.nanoseconds)
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        configuration.connectionPool.idleTimeout = .nanoseconds(idleConnectionTimeout.nanoseconds)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHostMax
        // A host that is away is asked again by whoever called, or another host is; never silently from here.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// Carries out one call and hands back whatever the host answered, errors too.
    public func execute(_ request: APIRequest) async throws(APIError) -> APIResponse {
        let outgoing = outgoing(request)
        do {
            return try await within(request.timeout) {
                let response = try await Self.pool.execute(outgoing, timeout: .nanoseconds(request.timeout.nanoseconds))
                let bytes = try await response.body.collect(upTo: request.answerBytesMax)
                return APIResponse(
                    status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                    body: Data(bytes.readableBytesView))
            }
        } catch {
            throw failure(error, of: request)
        }
    }

    /// Carries out one call; the answer's JSON becomes `Answer`. A status other than 2xx is an error.
    public func send<Answer: Decodable>(
        _ method: APIMethod, _ path: String, query: [(name: String, value: String)] = [],
        body: (any Encodable & Sendable)? = nil, as type: Answer.Type = Answer.self,
        timeout: Duration = APIRequest.timeoutDefault
    ) async throws(APIError) -> Answer {
        let data = try await sendForData(method, path, query: query, body: body, timeout: timeout)
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw APIError(
                .unreadable(JSONFault(error).text(of: "it")), operation: "\(method.rawValue) \(path)",
                endpoint: endpoint)
        }
    }

    /// As ``send(_:_:query:body:as:timeout:)`` where the answer's body does not matter or is not JSON.
    @discardableResult
    public func sendForData(
        _ method: APIMethod, _ path: String, query: [(name: String, value: String)] = [],
        body: (any Encodable & Sendable)? = nil, timeout: Duration = APIRequest.timeoutDefault
    ) async throws(APIError) -> Data {
        try await sendForResponse(method, path, query: query, body: body, timeout: timeout).body
    }

    /// As ``send(_:_:query:body:as:timeout:)``, with the headers.
    func sendForResponse(
        _ method: APIMethod, _ path: String, query: [(name: String, value: String)] = [],
        body: (any Encodable & Sendable)? = nil, timeout: Duration = APIRequest.timeoutDefault
    ) async throws(APIError) -> APIResponse {
        var request = APIRequest(method, path, query: query, timeout: timeout)
        if let body {
            do {
                request.body = try RoostJSON.encode(body)
            } catch {
                throw APIError(
                    .unreadable("the request cannot be written as JSON"), operation: request.operation,
                    endpoint: endpoint)
            }
        }
        let response = try await execute(request)
        guard response.isSuccess else { throw refusal(response, of: request) }
        return response
    }

    // MARK: - Inside

    func outgoing(_ request: APIRequest) -> HTTPClientRequest {
        var outgoing = HTTPClientRequest(url: endpoint.url(for: request.target))
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for header in request.headers { outgoing.headers.add(name: header.name, value: header.value) }
        if let token, case .tcp = endpoint { outgoing.headers.add(name: "authorization", value: "Bearer \(token)") }
        if case .socket = endpoint { outgoing.headers.replaceOrAdd(name: "host", value: "localhost") }
        if let body = request.body {
            outgoing.headers.replaceOrAdd(name: "content-type", value: "application/json")
            outgoing.body = .bytes(ByteBuffer(bytes: body))
        }
        return outgoing
    }

    func refusal(_ response: APIResponse, of request: APIRequest) -> APIError {
        let body =
            (try? JSONDecoder().decode(ErrorBody.self, from: response.body))
            ?? ErrorBody(error: "the host answered \(response.status) without saying why")
        return APIError(
            .refused(status: response.status, body: body), operation: request.operation, endpoint: endpoint,
            requestID: response.requestID)
    }

    func failure(_ error: any Error, of request: APIRequest) -> APIError {
        APIError(cause(of: error, request), operation: request.operation, endpoint: endpoint)
    }

    private func cause(of error: any Error, _ request: APIRequest) -> APIError.Cause {
        if error is CancellationError { return .cancelled }
        if error is NIOTooManyBytesError { return .unreadable("it is longer than \(request.answerBytesMax) bytes") }
        if error is TimeLimitExceeded { return .unanswered("no answer within \(request.timeout.words)") }
        if let error = error as? HTTPClientError {
            switch error {
            case .cancelled: return .cancelled
            case .connectTimeout, .getConnectionFromPoolTimeout:
                return .unreachable("no connection within \(Self.connectTimeout)")
            case .deadlineExceeded: return .unanswered("no answer within \(request.timeout.words)")
            case .remoteConnectionClosed: return .unanswered("the connection broke")
            case .invalidURL, .emptyHost, .missingSocketPath: return .unreachable("the address is not valid")
            default: return .unanswered("\(error)")
            }
        }
        if let error = error as? NIOConnectionError {
            return .unreachable(error.connectionErrors.first.map { Self.explain($0.error) } ?? "no such host")
        }
        // Broken after it was made: a reset by the peer. Everything else of this kind is from connecting.
        if let error = error as? IOError {
            return error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
                ? .unanswered("the connection broke") : .unreachable(Self.explain(error))
        }
        return .unanswered("\(error)")
    }

    static func explain(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        switch error.errnoCode {
        case ENOENT: return "there is no such socket"
        case ECONNREFUSED: return "nothing listens there"
        case EACCES: return "permission denied; root may use it"
        default: return String(cString: strerror(error.errnoCode))
        }
    }
}
