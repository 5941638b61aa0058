import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RoostHost
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

    /// Errors repeat what was sent; what was sent may be long.
    static let messageLengthMax = 4000

    static func error(_ status: HTTPResponse.Status, _ message: String, code: ErrorBody.Status = .unknown) -> Response {
        let body = ErrorBody(error: String(message.prefix(messageLengthMax)), status: code)
        return (try? json(body, status: status)) ?? Response(status: status)
    }

    static func error(_ error: Refusal) -> Response {
        Answer.error(status(of: error.code), error.message, code: word(for: error.code))
    }

    /// Fly.io's word, where it has one.
    static func word(for code: Refusal.Code) -> ErrorBody.Status {
        switch code {
        case .insufficientCapacity: .insufficientCapacity
        case .nameTaken: .nameTaken
        case .invalid, .notFound, .failedPrecondition, .alreadyExists, .deadlineExceeded, .unavailable,
            .outcomeUnknown, .notImplemented, .failed:
            .unknown
        }
    }

    /// The one table from refusals to HTTP. 503: nothing was changed. 504: nobody knows.
    static func status(of code: Refusal.Code) -> HTTPResponse.Status {
        switch code {
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
        } catch let error as Refusal {
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
