public import RoostModel

/// Which service each anycast address leads to, for one protocol. A value: an edge gets a whole new one at each change,
/// never a part.
public struct RouteTable<Route: Hashable & Sendable>: Hashable, Sendable {
    public var routes: [IPv4Address: Route]

    public init(_ routes: [IPv4Address: Route] = [:]) { self.routes = routes }

    public subscript(address: IPv4Address) -> Route? { routes[address] }

    /// In the order of the addresses, so that whoever walks the table does it the same way each time.
    public var addresses: [IPv4Address] { routes.keys.sorted() }
}
