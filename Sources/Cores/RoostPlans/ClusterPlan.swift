public import RoostModel
public import RoostPlacement

/// Plans for one Postgres cluster: its members are placed and made, or taken apart when it shall go.
public enum ClusterPlan {
    /// What one look at the world shows of the cluster.
    public struct World: Hashable, Sendable {
        public var spec: ClusterSpec
        /// The app's private network; nil while the app's record is not to be seen.
        public var network: NetworkNumber?
        public var placements: [MemberName: MemberPlacement]
        /// Members whose machine their host has published.
        public var made: Set<MemberName>
        public var hosts: [PlacementHost]
        /// Members of the spec that the rule names no more, and that nobody has asked for.
        public var departed: Set<MemberName>

        public init(
            spec: ClusterSpec, network: NetworkNumber?, placements: [MemberName: MemberPlacement],
            made: Set<MemberName>, hosts: [PlacementHost], departed: Set<MemberName> = []
        ) {
            self.departed = departed
            self.spec = spec
            self.network = network
            self.placements = placements
            self.made = made
            self.hosts = hosts
        }
    }

    public enum Step: Hashable, Sendable {
        /// Write down where the member will live, with the ids of its machine and volume, before anything is made.
        case place(MemberName, on: HostName)
        /// Order the volume and the machine from the host; repeating it changes nothing.
        case make(MemberPlacement)
        /// Take the member off the spec: it is none any more. Its placement goes afterwards.
        case retire(MemberName)
        /// Destroy machine and volume, then forget the placement.
        case remove(MemberPlacement)
        /// Ask for a member that comes for the lost one, in the one of these regions that is nearest to the cluster's home.
        /// See ``Replacement``.
        case replace(MemberName, in: [RegionCode])
        /// Give the lost reader's place to another one, in the one of these regions that is nearest to its own.
        case replaceReader(MemberName, in: [RegionCode])
        /// Ask for a switchover to this member. See ``Homecoming``.
        case lead(MemberName)
        /// Note that the switchover has come to nothing that somebody has asked for in this epoch. See ``Homecoming``.
        case letGoHome(Epoch)
        /// Take back what is left of the change of members with this id; the next one who comes is rather not to be on this
        /// host. It was needless where the lost member is back.
        case takeBack(String, because: String, avoiding: HostName?, wasNeedless: Bool = false)
        /// Remove every record of the cluster: nothing of it is left on any host.
        case forget
    }

    public static func next(_ world: World) -> Plan<Step> {
        world.spec.isDestroying ? takeApart(world) : complete(world)
    }

    /// Members that have a place are made, whatever keeps others from one. Members of one cluster are placed one after
    /// the other within a plan, so that two of them do not count on the same room. What the spec says of a place holds here,
    /// where it is chosen: what was asked for may have been possible then.
    private static func complete(_ world: World) -> Plan<Step> {
        guard world.network != nil else {
            return Plan(obstacles: ["it has no network yet: its app's record has not come to the host that has it made"]
            )
        }
        var plan = Plan<Step>()
        var hosts = world.hosts
        var occupied = Set(world.placements.values.map(\.host))
        // A reader keeps no member from a host that it shares with nobody else.
        var occupiedByMembers = world.spec.hostsOfMembers(world.placements)
        for member in world.spec.everybody where !world.departed.contains(member.name) {
            let isReader = world.spec.isReader(member.name)
            if let placement = world.placements[member.name] {
                if !world.made.contains(member.name) { plan.steps.append(.make(placement)) }
                continue
            }
            let request =
                isReader
                ? PlacementRequest(forReader: member, of: world.spec, occupied: occupied)
                : PlacementRequest(for: member, of: world.spec, occupied: occupiedByMembers)
            let fit = member.host.map { host in hosts.filter { $0.name == host } } ?? hosts
            let decision = Placement.decide(request, over: fit)
            guard let chosen = decision.candidates.first else {
                let why =
                    member.host.map { decision.standingExplanation(askedFor: $0) }
                    ?? decision.standingExplanation(for: request)
                plan.obstacles.append("\(member.name) has no place: \(why)")
                continue
            }
            plan.steps.append(.place(member.name, on: chosen))
            occupied.insert(chosen)
            if !isReader { occupiedByMembers.insert(chosen) }
            hosts = hosts.map { $0.name == chosen ? $0.promising(request) : $0 }
        }
        plan.steps += world.spec.members.map(\.name).filter(world.departed.contains).map { .retire($0) }
        let wanted = Set(world.spec.everybody.map(\.name))
        let left = world.placements.values.filter { !wanted.contains($0.member) }
        plan.steps += left.sorted { $0.member < $1.member }.map { .remove($0) }
        return plan
    }

    /// Machines and volumes first; the records go when every host has said that nothing is left. A host that does not
    /// answer keeps the cluster in `destroying` until it is back.
    private static func takeApart(_ world: World) -> Plan<Step> {
        let placements = world.placements.values.sorted { $0.member < $1.member }
        return Plan(steps: placements.isEmpty ? [.forget] : placements.map { .remove($0) })
    }
}

extension ClusterSpec {
    /// Without those that have readers alone, or what is left of somebody who was taken off.
    public func hostsOfMembers(_ placements: [MemberName: MemberPlacement]) -> Set<HostName> {
        Set(members.compactMap { placements[$0.name]?.host })
    }
}

extension PlacementRequest {
    /// A place for a member of the cluster.
    ///
    /// - Parameter occupied: hosts that have members of it.
    public init(for member: ClusterSpec.MemberSpec, of spec: ClusterSpec, occupied: Set<HostName>) {
        self.init(
            region: member.region, guest: spec.guest, disk: spec.volumeSize, app: spec.name, occupied: occupied,
            isApart: spec.isApart(member), avoided: Set(spec.attempts?.avoided ?? []), avoidsStoreMembers: true)
    }

    /// A place for a reader, which shares a host rather than have none.
    ///
    /// - Parameter occupied: hosts that have members or readers of the cluster.
    public init(forReader reader: ClusterSpec.MemberSpec, of spec: ClusterSpec, occupied: Set<HostName>) {
        self.init(
            region: reader.region, guest: spec.guest, disk: spec.volumeSize, app: spec.name, occupied: occupied,
            avoided: Set(reader.cameFor?.avoided ?? []), avoidsStoreMembers: true)
    }
}
