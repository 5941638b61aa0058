public import RoostModel

/// Which service each anycast address leads to, for one protocol. A value: an edge gets a whole new one at each change,
/// never a part.
public struct RouteTable<Route: Hashable & Sendable>: Hashable, Sendable {
    public var routes: [IPv4Address: Route]

    /// How many edges lead clients to these services, this one among them.
    public var edges: Int

    public init(_ routes: [IPv4Address: Route] = [:], edges: Int = 1) {
        self.routes = routes
        self.edges = edges
    }

    public subscript(address: IPv4Address) -> Route? { routes[address] }

    /// In the order of the addresses, so that whoever walks the table does it the same way each time.
    public var addresses: [IPv4Address] { routes.keys.sorted() }
}
