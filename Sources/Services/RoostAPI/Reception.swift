import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RoostModel
import RoostTelemetry
import RoostWire

/// What is known of a call before its route is.
struct CallContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel
    var requestID = ""
    var caller: Principal?
    var forwardedBy: HostName?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Stands at a door: finds out who calls, gives the call its id, turns every error into an answer, and writes down what
/// was asked for.
struct Reception: RouterMiddleware {
    typealias Context = CallContext

    let door: APIDoor
    let paths: RoutePaths
    let logger: Logger

    static let requestIDLengthMax = 64
    static let originLengthMax = 64

    @concurrent func handle(
        _ request: Request, context: CallContext, next: @concurrent (Request, CallContext) async throws -> Response
    ) async throws -> Response {
        let began = ContinuousClock.now
        var context = context
        context.requestID = Self.requestID(of: request)
        let (answered, refusal) = await answer(request, &context, next)
        // Its headers are those of the answer that a GET would have got, and what comes next on the connection is the next
        // answer.
        var response = request.method == .head ? answered.createHeadResponse() : answered
        response.headers[Self.field(CallHeader.requestID)] = context.requestID
        log(request, context, response.status.code, refusal, took: .now - began)
        count(request, context, response.status.code, took: .now - began)
        return response
    }

    private func answer(
        _ request: Request, _ context: inout CallContext,
        _ next: @concurrent (Request, CallContext) async throws -> Response
    ) async -> (Response, Refusal?) {
        guard let (caller, forwardedBy) = identify(request, context) else { return (Response(.unauthorized), nil) }
        context.caller = caller
        context.forwardedBy = forwardedBy
        do {
            return (try await next(request, context), nil)
        } catch let last as LastOnConnection {
            let refusal = refusal(for: last.cause, request, context)
            var response = Response(.refusal(refusal.naming(context.requestID, at: door.host)))
            response.headers[.connection] = "close"
            return (response, refusal)
        } catch {
            let refusal = refusal(for: error, request, context)
            var response = Response(.refusal(refusal.naming(context.requestID, at: door.host)))
            if refusal.code == .methodNotAllowed {
                response.headers[.allow] = methods(at: request, context).joined(separator: ", ")
            }
            return (response, refusal)
        }
    }

    private func refusal(for error: any Error, _ request: Request, _ context: CallContext) -> Refusal {
        switch error {
        case let refusal as Refusal:
            if let details = refusal.details {
                logger.error(
                    "a call failed",
                    metadata: [
                        "error": "\(refusal.message): \(details)", "path": "\(request.uri.path)",
                        "request": "\(context.requestID)",
                    ])
            }
            return refusal
        case let error as HTTPError where error.status == .notFound || error.status == .methodNotAllowed:
            return missing(request, context)
        case is CancellationError:
            return Refusal(.unavailable, "\(Self.name(of: door.host)) is shutting down; try another")
        default:
            logger.error(
                "a call failed",
                metadata: ["error": "\(error)", "path": "\(request.uri.path)", "request": "\(context.requestID)"])
            return Refusal(
                .failed, "internal error; the log of \(Self.name(of: door.host)) has more under \(context.requestID)")
        }
    }

    /// Nothing is served by this method at this path.
    private func missing(_ request: Request, _ context: CallContext) -> Refusal {
        let refusal = FlyPaths.refusal(method: request.method.rawValue, path: request.uri.path)
        let methods = methods(at: request, context)
        guard refusal.code == .notFound, !methods.isEmpty else { return refusal }
        return Refusal(
            .methodNotAllowed,
            "\(request.method.rawValue) is not what can be done at \(request.uri.path): it takes \(methods.joined(separator: ", "))"
        )
    }

    private func methods(at request: Request, _ context: CallContext) -> [String] {
        context.caller.map { paths.methods(at: request.uri.path, for: $0.kind) } ?? []
    }

    // MARK: - Who calls

    private func identify(_ request: Request, _ context: CallContext) -> (Principal, HostName?)? {
        switch door.callers {
        case .root: return (.user(origin: "this host"), nil)
        case .member(let machine): return (.member(machine), nil)
        case .credentials(let token, let addressOfPeer):
            let address = context.channel.remoteAddress?.ipAddress ?? "nowhere"
            guard let header = request.headers[.authorization], let holder = token.holder(of: header) else {
                return nil
            }
            switch holder {
            case .user: return (.user(origin: address), nil)
            case .scraper: return (.scraper(origin: address), nil)
            case .peer(let host):
                guard Self.isSame(address, addressOfPeer(host)) else {
                    logger.warning(
                        "a host's credential was shown from another address",
                        metadata: ["host": "\(host)", "address": "\(address)"])
                    return nil
                }
                guard let origin = request.headers[Self.field(CallHeader.onBehalfOf)] else { return (.peer(host), nil) }
                return (.user(origin: String(origin.prefix(Self.originLengthMax))), host)
            }
        }
    }

    /// One address may be written in several ways.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        if let left = try? IPv6Address(left), let right = try? IPv6Address(right) { return left == right }
        return left == right
    }

    /// The caller's own id, if it is one that can stand in a log, so that a call can be followed from the program that
    /// made it.
    private static func requestID(of request: Request) -> String {
        if let own = request.headers[field(CallHeader.requestID)], (1...requestIDLengthMax).contains(own.utf8.count),
            own.utf8.allSatisfy(isPlain)
        {
            return own
        }
        var random = SystemRandomNumberGenerator()
        return [random.next(), random.next()].map { (number: UInt64) in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    // MARK: - What was asked for

    /// Changes by users are written down always; members' come several times a second, and reads change nothing.
    private func log(
        _ request: Request, _ context: CallContext, _ status: Int, _ refusal: Refusal?, took: Duration
    ) {
        let isChange = request.method != .get && request.method != .head
        let level: Logger.Level = isChange && context.caller?.kind != .member ? .info : .debug
        logger.log(
            level: level, "call",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path.prefix(256))", "status": "\(status)",
                "caller": "\(context.caller.map(\.description) ?? "unknown")",
                "by": "\(context.forwardedBy.map(\.text) ?? "-")", "request": "\(context.requestID)",
                "ms": "\(took.milliseconds)", "code": "\(refusal?.code.rawValue ?? "-")",
            ])
    }

    /// By the route's pattern, never by the path that was sent: whoever calls could make as many of those as he likes.
    private func count(_ request: Request, _ context: CallContext, _ status: Int, took: Duration) {
        // The library has a word of its own for a path that it does not know.
        let route = context.endpointPath.flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "none"
        let method = APIRoute.Method(rawValue: request.method.rawValue)?.rawValue ?? "other"
        Metric.apiCalls.add(method, route, "\(status)")
        Metric.apiDuration.observe(took, method, route)
    }

    /// Who reads an answer may have asked another host.
    static func name(of host: HostName?) -> String { host.map { "host \($0)" } ?? "this host" }

    static func field(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("'\(name)' is no name of a header") }
        return field
    }
}

extension Refusal {
    /// With where to find what callers are not told.
    func naming(_ requestID: String, at host: HostName? = nil) -> Refusal {
        guard details != nil else { return self }
        return Refusal(
            code, "\(message); the log of \(Reception.name(of: host)) has more under \(requestID)", details: details)
    }
}

extension Response {
    /// An answer in HTTP.
    init(_ answer: Answer) {
        var headers = HTTPFields()
        headers[.contentType] = answer.contentType
        for (name, value) in answer.headers { headers[Reception.field(name)] = value }
        let body: ResponseBody =
            switch answer.body {
            case .bytes(let bytes): .init(byteBuffer: ByteBuffer(bytes: bytes))
            case .stream(let begin):
                .init { writer in
                    var stream = begin()
                    while let piece = try await stream.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                    try await writer.finish(nil)
                }
            }
        self.init(status: .init(code: answer.status), headers: headers, body: body)
    }
}
