public import RoostModel
public import RoostPostgresWire
public import RoostRouting
public import RoostWire

/// One step on the way from one table of routes to the next.
public enum RouteStep: Hashable, Sendable {
    case table
    case identity(EdgeIdentityBody)
    case route(EdgeRouteBody)
    case gone(IPv4Address)
    /// How many edges there are, this one among them; 1 in a new table.
    case edges(Int)
    case apply
}

/// What one edge has been told of the routes, over one connection: the whole table first, then what changes.
public struct RouteFeed: Sendable {
    private var told: ClusterTable?
    private var numbers: [TLSIdentity: UInt32] = [:]
    private var nextNumber: UInt32 = 1

    public init() {}

    /// What to tell so that the edge routes by `table`; nothing when it does already.
    public mutating func steps(to table: RouteTable<ClusterRoute>) -> [RouteStep] {
        guard table != told else { return [] }
        var steps: [RouteStep] = told == nil ? [.table] : []
        if table.edges != told?.edges ?? ClusterTable().edges { steps.append(.edges(table.edges)) }
        for address in told?.addresses ?? [] where table[address] == nil { steps.append(.gone(address)) }
        for address in table.addresses {
            guard let route = table[address], route != told?[address] else { continue }
            var number: UInt32?
            if let identity = route.encryption.identity {
                if let known = numbers[identity] {
                    number = known
                } else {
                    number = nextNumber
                    numbers[identity] = nextNumber
                    steps.append(
                        .identity(
                            EdgeIdentityBody(
                                number: nextNumber, certificateChain: identity.certificateChain,
                                privateKey: identity.privateKey)))
                    nextNumber += 1
                }
            }
            steps.append(.route(EdgeRouteBody(route, at: address, identity: number)))
        }
        steps.append(.apply)
        told = table
        let used = Set(table.routes.values.compactMap(\.encryption.identity))
        numbers = numbers.filter { used.contains($0.key) }
        return steps
    }
}

extension EdgeRouteBody {
    init(_ route: ClusterRoute, at address: IPv4Address, identity: UInt32?) {
        self.init(
            address: address, app: route.app, epoch: route.epoch, leader: route.leader.map(Backend.init),
            isOpen: route.isOpen, isRecruiting: route.isRecruiting, replicas: route.replicas.map(Replica.init),
            encryption: EncryptionWord(route.encryption).rawValue, identity: identity, allowed: route.allowed)
    }
}

/// How ``Encryption`` is said.
enum EncryptionWord: String {
    case none, optional, required, unusable

    init(_ encryption: Encryption) {
        switch encryption {
        case .none: self = .none
        case .optional: self = .optional
        case .required: self = .required
        case .unusable: self = .unusable
        }
    }
}

extension EdgeRouteBody.Backend {
    init(_ backend: RoostRouting.Backend) {
        self.init(member: backend.member, address: backend.address, port: backend.port)
    }

    var backend: RoostRouting.Backend { RoostRouting.Backend(member: member, address: address, port: port) }
}

extension EdgeRouteBody.Replica {
    init(_ replica: RoostPostgresWire.Replica) {
        self.init(
            backend: .init(replica.backend), roundTripMicroseconds: replica.roundTrip.map(\.microseconds),
            isStreaming: replica.isStreaming, lagBytes: replica.lagBytes, lagMilliseconds: replica.lag.milliseconds)
    }

    var replica: RoostPostgresWire.Replica {
        RoostPostgresWire.Replica(
            backend: backend.backend, roundTrip: roundTripMicroseconds.map { .microseconds($0) },
            isStreaming: isStreaming, lagBytes: lagBytes, lag: .milliseconds(lagMilliseconds))
    }
}

extension Duration {
    /// Whole microseconds; what is beyond them is cut off.
    fileprivate var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
