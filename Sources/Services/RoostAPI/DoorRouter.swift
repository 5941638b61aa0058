import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RoostLinux
import RoostModel
import RoostWire

/// Takes every call of one door to its route.
struct DoorRouter: Sendable {
    let door: APIDoor
    let groups: [any RouteGroup]
    let bounds: CallBounds
    let logger: Logger
    let rates = RouteRates()

    func build() -> Router<CallContext> {
        let router = Router(context: CallContext.self)
        router.add(middleware: Reception(door: door, paths: RoutePaths(groups), logger: logger))
        for group in groups {
            for route in group.routes {
                let callers = route.alsoFor.union([group.callers])
                for method in route.methods.compactMap(HTTPRequest.Method.init(rawValue:)) {
                    router.on(RouterPath(route.path), method: method) { request, context in
                        // To whoever it is not for, there is no such path.
                        guard let kind = context.caller?.kind, callers.contains(kind) else {
                            throw HTTPError(.notFound)
                        }
                        return try await answer(request, context, route)
                    }
                }
            }
        }
        return router
    }

    private func answer(_ request: Request, _ context: CallContext, _ route: APIRoute) async throws -> Response {
        try rates.take(route.rate, for: "\(route.method.rawValue) \(route.path)", at: BootClock.now())
        guard route.endsWithCaller else { return Response(try await call(request, request.body, context, route)) }
        // NIO hears that the caller is gone by reading on, so what comes next on this connection is lost; the answer
        // says so, a refusal too.
        do {
            var response = try await request.body.consumeWithCancellationOnInboundClose { body in
                Response(try await call(request, body, context, route))
            }
            response.headers[.connection] = "close"
            return response
        } catch {
            throw LastOnConnection(cause: error)
        }
    }

    private func call(
        _ request: Request, _ body: RequestBody, _ context: CallContext, _ route: APIRoute
    ) async throws -> Answer {
        guard let caller = context.caller else { throw HTTPError(.notFound) }
        let query = APIQuery(request.uri.query)
        try query.refuseUnknown(route.query)
        var logger = logger
        logger[metadataKey: "request"] = "\(context.requestID)"
        let call = APICall(
            method: route.method, path: request.uri.path, queryText: request.uri.query, query: query,
            parameters: parameters(of: route, context), body: try await collect(body), caller: caller,
            forwardedBy: context.forwardedBy, requestID: context.requestID, logger: logger,
            headers: request.headers)
        return try await PresentCall.$requestID.withValue(context.requestID) {
            try await bounds.hold(route.concurrency, for: call) { try await route.handler(call) }
        }
    }

    private func parameters(of route: APIRoute, _ context: CallContext) -> [String: String] {
        var parameters: [String: String] = [:]
        for part in route.path.split(separator: "/") where part.hasPrefix(":") {
            let name = String(part.dropFirst())
            parameters[name] = context.parameters.get(name)
        }
        return parameters
    }

    private func collect(_ body: RequestBody) async throws(Refusal) -> Data {
        let bytesMax = door.limits.bodyBytesMax
        do {
            return Data(try await body.collect(upTo: bytesMax).readableBytesView)
        } catch {
            throw Refusal(.invalid, "the request's body is larger than \(bytesMax) bytes or was cut off")
        }
    }
}

/// A call failed, and its connection cannot carry another one.
struct LastOnConnection: Error {
    let cause: any Error
}
