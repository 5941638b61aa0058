public import RoostEdgeWire
import RoostLinux
public import RoostWire

/// What is said over the link, in either direction.
public enum EdgeMessage: Hashable, Sendable {
    case greeting(EdgeGreeting)
    case routes(RouteStep)
    case listeners(EdgeListenersBody)
    case guarding
    case retire(EdgeRetirementBody)
    case beat
    case report(EdgeReportBody)

    /// Nil for a kind that this release does not know.
    init?(_ frame: EdgeFrame) throws {
        guard let kind = EdgeFrameKind(rawValue: frame.kind) else { return nil }
        func body<Body: Decodable>(_ type: Body.Type) throws -> Body { try JSONFile.decode(type, from: frame.body) }
        switch kind {
        case .greeting: self = .greeting(try body(EdgeGreeting.self))
        case .table: self = .routes(.table)
        case .identity: self = .routes(.identity(try body(EdgeIdentityBody.self)))
        case .route: self = .routes(.route(try body(EdgeRouteBody.self)))
        case .routeGone: self = .routes(.gone(try body(EdgeRouteGoneBody.self).address))
        case .edges: self = .routes(.edges(try body(EdgeCountBody.self).edges))
        case .apply: self = .routes(.apply)
        case .listeners: self = .listeners(try body(EdgeListenersBody.self))
        case .guarding: self = .guarding
        case .retire: self = .retire(try body(EdgeRetirementBody.self))
        case .beat: self = .beat
        case .report: self = .report(try body(EdgeReportBody.self))
        }
    }

    func frame() throws -> EdgeFrame {
        func make(_ kind: EdgeFrameKind, _ body: [UInt8] = []) -> EdgeFrame {
            EdgeFrame(kind: kind.rawValue, body: body)
        }
        return switch self {
        case .greeting(let body): make(.greeting, try JSONFile.encode(body))
        case .routes(.table): make(.table)
        case .routes(.identity(let body)): make(.identity, try JSONFile.encode(body))
        case .routes(.route(let body)): make(.route, try JSONFile.encode(body))
        case .routes(.gone(let address)): make(.routeGone, try JSONFile.encode(EdgeRouteGoneBody(address: address)))
        case .routes(.edges(let count)): make(.edges, try JSONFile.encode(EdgeCountBody(edges: count)))
        case .routes(.apply): make(.apply)
        case .listeners(let body): make(.listeners, try JSONFile.encode(body))
        case .guarding: make(.guarding)
        case .retire(let body): make(.retire, try JSONFile.encode(body))
        case .beat: make(.beat)
        case .report(let body): make(.report, try JSONFile.encode(body))
        }
    }

    /// How many files come along.
    var fileCount: Int {
        switch self {
        case .listeners(let body): body.ports.count
        case .guarding: 1
        case .greeting, .routes, .retire, .beat, .report: 0
        }
    }
}

extension EdgeReportBody {
    /// The sockets at which the edge accepts now.
    public var listenersOpen: Int { counters["listeners_open"] ?? 0 }
}
