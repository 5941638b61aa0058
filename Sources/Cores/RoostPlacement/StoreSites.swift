public import RoostModel

/// Where the members of the store are, by what hosts say of themselves. Without most of them no lease is renewed: primaries
/// stop, and no cluster takes commits until they are back, wherever its own members are.
public struct StoreSites: Hashable, Sendable {
    public struct Site: Hashable, Sendable {
        public var host: HostName
        public var region: RegionCode

        public init(host: HostName, region: RegionCode) {
            self.host = host
            self.region = region
        }
    }

    private let sites: [Site]

    /// - Parameter sites: none where the store is not on hosts of the planet; then nothing is said of it.
    public init(_ sites: [Site]) { self.sites = sites }

    public init(among hosts: [PlacementHost]) {
        self.init(hosts.filter(\.isStoreMember).map { Site(host: $0.name, region: $0.region) })
    }

    /// Without one of these the store has no majority.
    public var hosts: [HostName] { places(\.host) }
    /// As ``hosts``.
    public var regions: [RegionCode] { places(\.region) }

    /// Why the store does not survive such a loss; nil where it does.
    public func obstacle(to goal: SurvivalGoal) -> String? {
        let losses: [(words: String, count: Int)] =
            switch goal {
            case .host: hosts.map { host in ("\(host)", sites.count { $0.host == host }) }
            case .region: regions.map { region in ("region \(region)", sites.count { $0.region == region }) }
            case .unknown: []
            }
        guard !losses.isEmpty else { return nil }
        return losses.map {
            "the store does not survive the loss of \($0.words): it has \($0.count) of its \(sites.count) members there"
        }.joined(separator: "; ")
    }

    private func places<Place: Hashable & Comparable>(_ place: KeyPath<Site, Place>) -> [Place] {
        Dictionary(grouping: sites) { $0[keyPath: place] }
            .filter { (sites.count - $0.value.count) * 2 <= sites.count }.keys.sorted()
    }
}
