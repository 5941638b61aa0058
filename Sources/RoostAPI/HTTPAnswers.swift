import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RoostAgent
import RoostLinux
import RoostModel
import RoostWire

/// How an answer of the API is made. One place, so that every endpoint speaks the same JSON.
enum Answer {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try encoder.encode(value))))
    }

    static func error(_ status: HTTPResponse.Status, _ message: String, code: ErrorBody.Status = .unknown) -> Response {
        (try? json(ErrorBody(error: message, status: code), status: status)) ?? Response(status: status)
    }

    static func error(_ error: AgentError) -> Response {
        let code: ErrorBody.Status =
            switch error.code {
            case .insufficientCapacity: .insufficientCapacity
            case .nameTaken: .nameTaken
            default: .unknown
            }
        return Answer.error(status(of: error), error.message, code: code)
    }

    /// The one table from refusals to HTTP. 503: nothing was changed. 504: nobody knows.
    private static func status(of error: AgentError) -> HTTPResponse.Status {
        switch error.code {
        case .invalid: .badRequest
        case .notFound: .notFound
        case .failedPrecondition: .preconditionFailed
        case .alreadyExists: .conflict
        case .nameTaken: .unprocessableContent
        case .insufficientCapacity: .unprocessableContent
        case .deadlineExceeded: .requestTimeout
        case .unavailable: .serviceUnavailable
        case .outcomeUnknown: .gatewayTimeout
        case .notImplemented: .notImplemented
        case .failed: .internalServerError
        }
    }
}

/// Reads what a request brings, with a typed refusal for everything that is wrong with it.
enum RequestReader {
    static let bodyBytesMax = 1 << 20

    static func body(of request: Request) async throws(AgentError) -> Data {
        do {
            return Data(try await request.body.collect(upTo: bodyBytesMax).readableBytesView)
        } catch {
            throw AgentError(.invalid, "the request's body is larger than \(bodyBytesMax) bytes or was cut off")
        }
    }

    /// Decodes a JSON object and refuses fields this version does not act on, so that nobody relies on one.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from request: Request, fields: Set<String>, configFields: Set<String>? = nil
    ) async throws(AgentError) -> Value {
        let data = try await body(of: request)
        guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw AgentError(.invalid, "the request's body is not a JSON object")
        }
        try refuseUnknown(object, known: fields, place: "")
        if let configFields, let config = object["config"] as? [String: Any] {
            try refuseUnknown(config, known: configFields, place: "config.")
        }
        return try decode(type, from: data)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws(AgentError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as DecodingError {
            throw AgentError(.invalid, explain(error))
        } catch {
            throw AgentError(.invalid, "the request's body cannot be read: \(error)")
        }
    }

    private static func refuseUnknown(_ object: [String: Any], known: Set<String>, place: String) throws(AgentError) {
        let unknown = object.keys.filter { !known.contains($0) && !(object[$0] is NSNull) }.sorted()
        guard let first = unknown.first else { return }
        throw AgentError(
            .invalid, "field '\(place)\(first)' is not supported; supported: \(known.sorted().joined(separator: ", "))")
    }

    private static func explain(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            let place = (context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: ".")
            return "field '\(place)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "field '\(path(context))' has the wrong type: \(context.debugDescription)"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "the request's body is not valid JSON: \(context.debugDescription)"
                : "field '\(path(context))': \(context.debugDescription)"
        @unknown default: return "the request's body cannot be read"
        }
    }

    /// A typed id from the path.
    static func id<Kind: IDKind>(_ name: String, _ context: some RequestContext) throws(AgentError) -> ID<Kind> {
        let text = context.parameters.get(name) ?? ""
        do { return try ID<Kind>(text) } catch { throw AgentError(.invalid, error.description) }
    }

    static func value<Kind: IDKind>(_ type: ID<Kind>.Type, _ text: String) throws(AgentError) -> ID<Kind> {
        do { return try ID<Kind>(text) } catch { throw AgentError(.invalid, error.description) }
    }

    static func flag(_ name: Substring, in request: Request) -> Bool {
        request.uri.queryParameters[name].map { ["true", "1", ""].contains($0) } ?? false
    }

    /// Seconds, or Go's duration text.
    static func duration(_ text: Substring) throws(AgentError) -> Duration {
        if let seconds = Int64(text), seconds >= 0, seconds < 1_000_000 { return .seconds(seconds) }
        do { return try DurationText(String(text)).duration } catch {
            throw AgentError(.invalid, error.description)
        }
    }
}

/// Gives every answer a request id and turns every error into Fly's error body.
struct ErrorBodies<Context: RequestContext>: RouterMiddleware {
    static var requestID: HTTPField.Name {
        HTTPField.Name("fly-request-id") ?? .eTag
    }

    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as AgentError {
            response = Answer.error(error)
        } catch let error as HTTPError {
            response = FlyPaths.answer(for: request, status: error.status)
        } catch is CancellationError {
            response = Answer.error(.serviceUnavailable, "this host is shutting down; try another")
        } catch {
            context.logger.error("request failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
            response = Answer.error(.internalServerError, "internal error; the host's log has the details")
        }
        if response.headers[Self.requestID] == nil {
            response.headers[Self.requestID] = request.headers[Self.requestID] ?? context.id
        }
        return response
    }
}
