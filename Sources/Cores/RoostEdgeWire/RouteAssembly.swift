public import RoostModel
public import RoostPostgresWire
public import RoostRouting
import RoostWire

/// The table of routes, put together from what one connection says: ``RouteFeed``'s counterpart.
public struct RouteAssembly: Sendable {
    /// Beyond what any planet has; what a connection says is bounded all the same.
    public static let routesMax = 65_536

    /// What makes no sense after what was said before. The connection has to go; the routes in force stay.
    public enum Failure: Error, Hashable, CustomStringConvertible {
        case beforeTable
        case unknownIdentity(UInt32)
        case missingIdentity(IPv4Address)
        case tooMany

        public var description: String {
            switch self {
            case .beforeTable: "a change of a table that was never told"
            case .unknownIdentity(let number): "a route names identity \(number), which was never told"
            case .missingIdentity(let address): "the route of \(address) wants TLS and names no identity"
            case .tooMany: "more than \(RouteAssembly.routesMax) routes or identities"
            }
        }
    }

    private var draft: ClusterTable?
    private var identities: [UInt32: TLSIdentity] = [:]
    private var numbers: [IPv4Address: UInt32] = [:]

    public init() {}

    /// - Returns: the table that is in force now, when the step put it in force.
    public mutating func take(_ step: RouteStep) throws(Failure) -> RouteTable<ClusterRoute>? {
        switch step {
        case .table:
            draft = ClusterTable()
            numbers = [:]
        case .identity(let body):
            guard identities.count < Self.routesMax else { throw .tooMany }
            identities[body.number] = TLSIdentity(
                certificateChain: body.certificateChain, privateKey: body.privateKey)
        case .route(let body):
            guard draft != nil else { throw .beforeTable }
            guard let count = draft?.routes.count, count < Self.routesMax else { throw .tooMany }
            let route = ClusterRoute(
                app: body.app, epoch: body.epoch, leader: body.leader?.backend, isOpen: body.isOpen,
                isRecruiting: body.isRecruiting, replicas: body.replicas.map(\.replica),
                encryption: try encryption(body), allowed: body.allowed)
            draft?.routes[body.address] = route
            numbers[body.address] = body.identity
        case .gone(let address):
            guard draft != nil else { throw .beforeTable }
            draft?.routes[address] = nil
            numbers[address] = nil
        case .edges(let count):
            guard draft != nil else { throw .beforeTable }
            draft?.edges = max(count, 1)
        case .apply:
            guard let draft else { throw .beforeTable }
            let used = Set(numbers.values)
            identities = identities.filter { used.contains($0.key) }
            return draft
        }
        return nil
    }

    private func encryption(_ body: EdgeRouteBody) throws(Failure) -> Encryption {
        // A word of a newer roostd: nobody is served in a way that was not meant.
        guard let word = EncryptionWord(rawValue: body.encryption) else { return .unusable }
        switch word {
        case .none: return .none
        case .unusable: return .unusable
        case .optional: return .optional(try identity(body))
        case .required: return .required(try identity(body))
        }
    }

    private func identity(_ body: EdgeRouteBody) throws(Failure) -> TLSIdentity {
        guard let number = body.identity else { throw .missingIdentity(body.address) }
        guard let identity = identities[number] else { throw .unknownIdentity(number) }
        return identity
    }
}
