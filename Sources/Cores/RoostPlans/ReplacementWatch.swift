public import RoostModel

/// For how long members and readers are lost, as the host sees it that replaces them. It counts by its own clock, and only what it has
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
        /// Hosts on which they have readers.
        public var readerSeats: Set<HostName> = []
        /// Members of which neither the store nor another member nor their host has a sign of life now, and readers of which neither
        /// the store nor their host has.
        public var lost: [AppName: Set<MemberName>] = [:]
        /// The last change was a replacement that nobody had asked for, and this one was taken back.
        public var takenBack: [AppName: String] = [:]
        /// Replacements that are under way, whose new member is none yet.
        public var coming: [AppName: Coming] = [:]
        /// Readers that came by themselves and have no data yet, and whether they say something. One without a place has nothing to
        /// say.
        public var readers: [AppName: [MemberName: Bool]] = [:]

        public struct Coming: Hashable, Sendable {
            public var change: String
            /// The member says something, or nobody may ask whether it does.
            public var isHeard: Bool

            public init(change: String, isHeard: Bool) {
                self.change = change
                self.isHeard = isHeard
            }
        }

        public init() {}
    }

    private var losses = HostLosses()
    private var since: [AppName: [MemberName: Moment]] = [:]
    private var takenBack: [AppName: (change: String, at: Moment)] = [:]
    private var coming: [AppName: (change: String, since: Moment, heard: Moment)] = [:]
    private var readers: [AppName: [MemberName: (since: Moment, heard: Moment)]] = [:]

    public init() {}

    public mutating func see(_ sight: Sight, at now: Moment) {
        losses.see(
            sight.hosts, reachable: sight.reachable, seats: sight.seats, readers: sight.readerSeats, at: now)
        let former = since
        since = [:]
        for (cluster, members) in sight.lost where !members.isEmpty {
            since[cluster] = members.reduce(into: [:]) { $0[$1] = former[cluster]?[$1] ?? now }
        }
        let comers = coming
        coming = [:]
        for (cluster, sign) in sight.coming {
            let former = comers[cluster].flatMap { $0.change == sign.change ? $0 : nil }
            coming[cluster] = (sign.change, former?.since ?? now, sign.isHeard ? now : former?.heard ?? now)
        }
        let present = readers
        readers = [:]
        for (cluster, signs) in sight.readers where !signs.isEmpty {
            readers[cluster] = signs.reduce(into: [:]) { readers, sign in
                let former = present[cluster]?[sign.key]
                readers[sign.key] = (former?.since ?? now, sign.value ? now : former?.heard ?? now)
            }
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

    /// Clusters that have lost somebody, or have readers that come.
    public var clusters: Set<AppName> { Set(since.keys).union(readers.keys) }

    /// How long ago a replacement was seen to be taken back; nil: none was, or it is forgotten.
    public func takenBack(in cluster: AppName, at now: Moment) -> Duration? { takenBack[cluster].map { now - $0.at } }

    /// For how long a replacement is under way, and for how long its new member has said nothing.
    public func coming(in cluster: AppName, at now: Moment) -> (lasted: Duration, silent: Duration)? {
        coming[cluster].map { (now - $0.since, now - $0.heard) }
    }

    /// Readers that came by themselves and have no data yet.
    public func readers(in cluster: AppName, at now: Moment) -> [MemberName: Replacement.Readers.Silence] {
        (readers[cluster] ?? [:]).mapValues { .init(lasted: now - $0.since, silent: now - $0.heard) }
    }

    /// Replacements that keep others from their turn.
    public func turns(at now: Moment) -> Set<AppName> {
        Set(coming.filter { now - $0.value.since < Replacement.turnMax }.keys)
    }

    /// The same of readers.
    public func turnsOfReaders(at now: Moment) -> Set<AppName> {
        Set(readers.filter { $0.value.values.contains { now - $0.since < Replacement.turnMax } }.keys)
    }

    /// Why nobody is replaced now; nil: nothing is against it.
    public func brake(ofReaders: Bool = false, at now: Moment) -> String? {
        losses.brake(ofReaders: ofReaders, at: now)
    }
}
