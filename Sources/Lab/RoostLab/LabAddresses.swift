import RoostModel

/// Who has which address. All are from 198.18.0.0/15, the range for network tests (RFC 2544).
///
/// | what | where |
/// |---|---|
/// | a region's hosts and client | 198.18.*region*.0/24: hosts from .11, the client .200 |
/// | uplinks of aurora | 198.18.(64 + *region*).0/24, a /30 each |
/// | uplinks of borealis | 198.18.(128 + *region*).0/24, a /30 each |
/// | a provider's links between regions | 198.19.0.0/18 and 198.19.64.0/18, a /30 each |
/// | the providers' peering in a region | 198.19.128.0/24, a /30 each |
/// | routers | 198.19.200.*region* and 198.19.201.*region* |
///
/// Regions count from 1, providers from 0, in the order in which they were named.
enum LabAddresses {
    static let anycast = "203.0.113.0/24"

    static func region(_ region: Int) -> String { "198.18.\(region).0/24" }

    static func host(_ number: Int, region: Int) -> IPv4Address { address(198, 18, region, 10 + number) }

    static func client(region: Int) -> IPv4Address { address(198, 18, region, 200) }

    static func uplinks(region: Int, provider: Int) -> String { "198.18.\(64 + 64 * provider + region).0/24" }

    static func hostUplink(_ number: Int, region: Int, provider: Int) -> LinkNetwork {
        LinkNetwork(address(198, 18, 64 + 64 * provider + region, 4 * (number - 1)))
    }

    static func clientUplink(region: Int, provider: Int) -> LinkNetwork {
        LinkNetwork(address(198, 18, 64 + 64 * provider + region, 240))
    }

    /// `pair` counts the pairs of regions.
    static func backbone(pair: Int, provider: Int) -> LinkNetwork {
        LinkNetwork(address(198, 19, 64 * provider + pair / 64, 4 * (pair % 64)))
    }

    static func peering(region: Int) -> LinkNetwork { LinkNetwork(address(198, 19, 128, 4 * (region - 1))) }

    static func router(region: Int, provider: Int) -> IPv4Address { address(198, 19, 200 + provider, region) }

    private static func address(_ parts: Int...) -> IPv4Address {
        IPv4Address(bits: parts.reduce(0) { $0 << 8 | UInt32(truncatingIfNeeded: $1) })
    }
}

/// The /30 of a link; `first` is the provider's end, or the end of the side named first.
struct LinkNetwork: Hashable, Sendable {
    let base: IPv4Address

    init(_ base: IPv4Address) { self.base = base }

    var first: IPv4Address { IPv4Address(bits: base.bits + 1) }
    var second: IPv4Address { IPv4Address(bits: base.bits + 2) }
}
