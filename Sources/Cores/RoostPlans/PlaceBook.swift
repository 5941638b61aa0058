public import RoostModel
public import RoostPlacement

/// Where there would be room for members that nobody has asked for yet, as long as somebody is lost. What the same hosts have
/// answered before is not asked again.
public struct PlaceBook: Sendable {
    private struct Region {
        /// As they were seen.
        var seen: [PlacementHost] = []
        /// With what was promised since.
        var hosts: [PlacementHost] = []
        /// Of what was seen: another one whenever a host is another one.
        var seenVersion = 0
        /// Of what there is with the promises.
        var version = 0
    }

    /// What makes other hosts of those of a version.
    private struct Promise: Hashable {
        var version: Int
        var host: HostName
        var request: PlacementRequest
    }

    private struct Answer {
        var request: PlacementRequest
        var version: Int
        var host: HostName?
        var why: String
    }

    /// Of a cluster, one answer for each region.
    private struct Key: Hashable {
        var cluster: AppName
        var region: RegionCode
    }

    private var regions: [RegionCode: Region] = [:]
    private var answers: [Key: Answer] = [:]
    /// What was promised since the hosts were seen.
    private var promised: [Key: (request: PlacementRequest, host: HostName)] = [:]
    /// The versions that promises have led to, since the hosts were seen and in the look before: the same promise makes the same
    /// hosts of them again, and what was answered about those holds.
    private var steps: [Promise: Int] = [:]
    private var formerSteps: [Promise: Int] = [:]
    private var versions = 0
    /// How often hosts were gone through.
    private(set) var searches = 0

    public init() {}

    /// Regions that have hosts.
    public var names: Set<RegionCode> { Set(regions.keys) }

    /// Takes in the hosts as they are now.
    ///
    /// - Parameter clusters: that may ask; what was answered to others is forgotten.
    public mutating func see(_ hosts: [PlacementHost], for clusters: Set<AppName>) {
        answers = answers.filter { clusters.contains($0.key.cluster) }
        promised = [:]
        (formerSteps, steps) = (steps, [:])
        let former = regions
        regions = [:]
        let present = Dictionary(grouping: hosts.map(Self.coarse), by: \.region)
        for (name, hosts) in present.sorted(by: { $0.key < $1.key }) {
            let hosts = hosts.sorted { $0.name < $1.name }
            var region = former[name] ?? Region()
            if region.seen != hosts {
                region = Region(seen: hosts, seenVersion: newVersion())
            }
            (region.hosts, region.version) = (hosts, region.seenVersion)
            regions[name] = region
        }
    }

    /// Counts on what is promised to a member of the cluster, which shows on no host yet, so that nobody else does.
    public mutating func promise(_ request: PlacementRequest, to cluster: AppName) {
        let key = Key(cluster: cluster, region: request.region)
        guard promised[key] == nil, case .found(let host) = find(request, for: cluster),
            var region = regions[request.region]
        else { return }
        promised[key] = (request, host)
        region.hosts = region.hosts.map { $0.name == host ? $0.promising(request) : $0 }
        let step = Promise(version: region.version, host: host, request: request)
        region.version = formerSteps[step] ?? newVersion()
        steps[step] = region.version
        regions[request.region] = region
    }

    private mutating func newVersion() -> Int {
        versions += 1
        return versions
    }

    public enum Place: Hashable, Sendable {
        case found(HostName)
        case none(String)
    }

    /// The best place.
    public mutating func find(_ request: PlacementRequest, for cluster: AppName) -> Place {
        let key = Key(cluster: cluster, region: request.region)
        // What it was promised itself it still finds.
        if let own = promised[key], own.request == request { return .found(own.host) }
        let region = regions[request.region] ?? Region()
        let known = answers[key].flatMap { $0.request == request && $0.version == region.version ? $0 : nil }
        let answer = known ?? search(request, region)
        answers[key] = answer
        return answer.host.map { .found($0) } ?? .none(answer.why)
    }

    private mutating func search(_ request: PlacementRequest, _ region: Region) -> Answer {
        searches += 1
        let decision = Placement.decide(request, over: region.hosts)
        let host = decision.candidates.first
        return Answer(
            request: request, version: region.version, host: host,
            why: host == nil ? decision.standingExplanation(for: request) : "")
    }

    /// A disk on which something is written has another number each time.
    private static func coarse(_ host: PlacementHost) -> PlacementHost {
        var host = host
        host.diskLeft = host.diskLeft.map { .gibibytes($0.wholeGibibytes) }
        return host
    }
}
