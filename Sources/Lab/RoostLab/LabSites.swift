public import RoostModel

/// A connection to a provider, from the side of the customer.
public struct LabUplink: Sendable, Hashable {
    public var provider: String
    /// The point of presence at the other end.
    public var pop: String
    /// The device's name here; at the other end it is named after the customer.
    public var interface: String
    public var local: IPv4Address
    public var neighbor: IPv4Address
    public var neighborAS: UInt32
}

public struct LabHost: Sendable, Hashable {
    public var name: HostName
    public var region: RegionCode
    /// From 1 within its region.
    public var number: Int
    public var isEdge: Bool
    public var isStoreMember: Bool
    /// Its address on the outside, reachable whichever uplink is up.
    public var underlay: IPv4Address
    public var uplinks: [LabUplink]

    public var mesh: IPv6Address { MeshAddress.host(name) }
    public var endpoint: String { "\(underlay):\(LabPlan.meshPort)" }
}

/// A computer of somebody who uses the platform: one address, one uplink, nothing running.
public struct LabClient: Sendable, Hashable {
    public var name: String
    public var region: RegionCode
    public var address: IPv4Address
    public var uplink: LabUplink
}

/// A provider's router in one region.
public struct LabPop: Sendable, Hashable {
    public var name: String
    public var provider: String
    public var number: UInt32
    public var region: RegionCode
    public var router: IPv4Address
    public var customers: [Customer]
    public var neighbors: [Neighbor]

    public struct Customer: Sendable, Hashable {
        public var name: String
        public var interface: String
        public var local: IPv4Address
        public var remote: IPv4Address
        /// What is behind the link, announced to everybody.
        public var address: IPv4Address
        /// Speaks BGP, and has another uplink to fall back on.
        public var isEdge: Bool
    }

    public struct Neighbor: Sendable, Hashable {
        public enum Kind: Sendable, Hashable {
            /// The same provider in another region.
            case backbone
            /// The other provider in the same region.
            case peering
        }

        public var kind: Kind
        public var name: String
        public var interface: String
        public var local: IPv4Address
        public var remote: IPv4Address
        public var number: UInt32
        /// Round trip to it, milliseconds; at least 1. What routes are chosen by.
        public var distance: Int
    }
}
