public import RoostModel

/// What losses a cluster survives as it is now.
public struct Survival: Hashable, Sendable {
    /// A member of the rule.
    public struct Seat: Hashable, Sendable {
        public var host: HostName
        public var region: RegionCode
        /// It leads, or its leader sees it confirm.
        public var isHere: Bool

        public init(host: HostName, region: RegionCode, isHere: Bool) {
            self.host = host
            self.region = region
            self.isHere = isHere
        }
    }

    /// Each of them alone may go, of those that have members.
    public var goals: [SurvivalGoal]
    /// Without one of these nobody could confirm, or be made the leader; or the store could not say who leads.
    public var hosts: [HostName]
    public var regions: [RegionCode]
    /// What of it is the store's doing, in words; nil: nothing.
    public var store: String?

    /// - Parameters:
    ///   - seats: of members that have a place.
    ///   - count: of all members.
    ///   - confirmations: standbys that must have a commit on disk.
    ///   - store: without which nobody leads.
    public init(_ seats: [Seat], count: Int, confirmations: Int, store: StoreSites) {
        // So many make a commit; and so many, the old leader not among them, find all commits when they choose another one.
        let needed = max(confirmations + 1, count - confirmations)
        func isLeft(_ isLost: (Seat) -> Bool) -> Bool { seats.count { $0.isHere && !isLost($0) } >= needed }
        hosts = Set(seats.map(\.host)).filter { host in !isLeft { $0.host == host } }.union(store.hosts).sorted()
        regions = Set(seats.map(\.region)).filter { region in !isLeft { $0.region == region } }.union(store.regions)
            .sorted()
        self.store = store.obstacle(to: .host) ?? store.obstacle(to: .region)
        goals = hosts.isEmpty && !seats.isEmpty ? (regions.isEmpty ? [.host, .region] : [.host]) : []
    }
}

/// Where the members of a cluster have to be so that it survives what it is to survive.
public enum SurvivalShape {
    /// Of three members one standby confirms, and any one may go: fewer survive nothing, and more wait for more.
    public static var members: Int { 3 }

    /// - Parameters:
    ///   - home: where the first member is, which leads at first.
    ///   - request: what one member needs; its region is not looked at.
    ///   - distances: of other regions from there, as far as anybody has measured them.
    /// - Returns: the members' regions, the first one's first.
    /// - Throws: what is missing, where the hosts cannot do it.
    public static func regions(
        for goal: SurvivalGoal, home: RegionCode, _ request: PlacementRequest, over hosts: [PlacementHost],
        distances: [RegionCode: Duration]
    ) throws(Refusal) -> [RegionCode] {
        let regions: [RegionCode]
        switch goal {
        case .host: regions = try inOneRegion(home, request, hosts)
        case .region: regions = try inThree(home, request, hosts, distances)
        case .unknown(let word):
            let words = SurvivalGoal.known.map(\.rawValue).joined(separator: " or ")
            throw Refusal(.invalid, "a cluster survives the loss of a \(words), and '\(word)' is none of these")
        }
        if let obstacle = StoreSites(among: hosts).obstacle(to: goal) {
            throw Refusal(
                .insufficientCapacity,
                "to survive the loss of a \(goal.rawValue), the store must survive it, and \(obstacle); give etcd members "
                    + "elsewhere first")
        }
        return regions
    }

    private static func inOneRegion(_ home: RegionCode, _ request: PlacementRequest, _ hosts: [PlacementHost])
        throws(Refusal) -> [RegionCode]
    {
        let fitting = fitting(in: home, request, hosts)
        guard fitting.candidates.count >= members else {
            let why = fitting.refusals.isEmpty ? "" : "; \(fitting.explanation(for: request.moved(to: home)))"
            let count = hosts.count { $0.region == home }
            guard count >= members else {
                throw Refusal(
                    .insufficientCapacity,
                    "to survive the loss of a host, \(members) hosts of region \(home) must have room for a member, and the "
                        + "region has only \(counted(count, "host")): add hosts there, or choose another home, or what is to be "
                        + "survived is a region\(why)")
            }
            throw Refusal(
                .insufficientCapacity,
                "to survive the loss of a host, \(members) hosts of region \(home) must have room for a member, and "
                    + "\(fitting.candidates.count) have\(why)")
        }
        return Array(repeating: home, count: members)
    }

    private static func inThree(
        _ home: RegionCode, _ request: PlacementRequest, _ hosts: [PlacementHost], _ distances: [RegionCode: Duration]
    ) throws(Refusal) -> [RegionCode] {
        let all = Set(hosts.map(\.region)).union([home]).sorted()
        let decisions = all.map { (region: $0, decision: fitting(in: $0, request, hosts)) }
        let able = decisions.filter { !$0.decision.candidates.isEmpty }.map(\.region)
        guard able.count >= members, able.contains(home) else {
            let lacking = decisions.filter { $0.decision.candidates.isEmpty }
                .map { $0.decision.explanation(for: request.moved(to: $0.region)) }
            let need =
                able.count < members
                ? "hosts of \(members) regions must have room for a member, and those of \(able.count) have"
                : "a host of region \(home) must have room for a member"
            throw Refusal(
                .insufficientCapacity,
                (["to survive the loss of a region, \(need)"] + lacking).joined(separator: "; "))
        }
        let others = nearest(able.filter { $0 != home }, distances)
        return [home] + others.prefix(members - 1)
    }

    /// The nearest first; those that nobody has measured come last, by their names.
    public static func nearest(_ regions: [RegionCode], _ distances: [RegionCode: Duration]) -> [RegionCode] {
        regions.sorted { one, other in
            switch (distances[one], distances[other]) {
            case (let near?, let far?): (near, one) < (far, other)
            case (_?, nil): true
            case (nil, _?): false
            case (nil, nil): one < other
            }
        }
    }

    private static func fitting(in region: RegionCode, _ request: PlacementRequest, _ hosts: [PlacementHost])
        -> PlacementDecision
    {
        let decision = Placement.decide(request.moved(to: region), over: hosts)
        return PlacementDecision(
            candidates: decision.candidates,
            refusals: decision.refusals.filter {
                if case .otherRegion = $0.reason { false } else { true }
            })
    }
}

extension PlacementRequest {
    fileprivate func moved(to region: RegionCode) -> PlacementRequest {
        var request = self
        request.region = region
        return request
    }
}
