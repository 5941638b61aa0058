public import RoostModel

/// For how long members are lost, as the host sees it that replaces them. It counts by its own clock, and only what it has
/// seen itself without a break: whoever takes over begins anew.
public struct ReplacementWatch: Sendable {
    /// What one look shows.
    public struct Sight: Sendable {
        /// All of the planet.
        public var hosts: [HostName: RegionCode] = [:]
        /// Hosts that answer.
        public var reachable: Set<HostName> = []
        /// Hosts on which clusters have members.
        public var seats: Set<HostName> = []
        /// Members of which neither the store nor another member nor their host has a sign of life now.
        public var lost: [AppName: Set<MemberName>] = [:]
        /// Of clusters with lost members: the last change was a replacement, and this one was taken back.
        public var takenBack: [AppName: String] = [:]

        public init() {}
    }

    private var losses = HostLosses()
    private var since: [AppName: [MemberName: Moment]] = [:]
    private var takenBack: [AppName: (change: String, at: Moment)] = [:]

    public init() {}

    public mutating func see(_ sight: Sight, at now: Moment) {
        losses.see(sight.hosts, reachable: sight.reachable, seats: sight.seats, at: now)
        let former = since
        since = [:]
        for (cluster, members) in sight.lost where !members.isEmpty {
            since[cluster] = members.reduce(into: [:]) { $0[$1] = former[cluster]?[$1] ?? now }
        }
        let before = takenBack
        takenBack = [:]
        for (cluster, change) in sight.takenBack {
            takenBack[cluster] = before[cluster].flatMap { $0.change == change ? $0 : nil } ?? (change, now)
        }
    }

    /// For how long which members are lost.
    public func lost(in cluster: AppName, at now: Moment) -> [MemberName: Duration] {
        (since[cluster] ?? [:]).mapValues { now - $0 }
    }

    /// Clusters that have lost somebody.
    public var clusters: Set<AppName> { Set(since.keys) }

    /// How long ago a replacement was seen to be taken back; nil: none was, or it is forgotten.
    public func takenBack(in cluster: AppName, at now: Moment) -> Duration? { takenBack[cluster].map { now - $0.at } }

    /// Why nobody is replaced now; nil: nothing is against it.
    public func brake(at now: Moment) -> String? { losses.brake(at: now) }
}
