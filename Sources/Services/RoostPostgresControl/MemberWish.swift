import RoostModel
import RoostPlanet

/// Which members a cluster is to have, as somebody asks for it.
enum MemberWish: Hashable, Sendable {
    /// One more: in this region, and on this host where one is named.
    case add(RegionCode, HostName?)
    case remove(MemberName)
    /// One more, and then this one less.
    case replace(MemberName, RegionCode?, HostName?)
    /// So many in each of these regions; the others stay as they are.
    case scale([RegionCode: Int])

    /// The member that somebody names to be removed.
    var leaver: MemberName? {
        switch self {
        case .remove(let member), .replace(let member, _, _): member
        case .add, .scale: nil
        }
    }

    /// What is to be done, step by step, and the members that the spec lacks for it.
    struct Course: Hashable, Sendable {
        var steps: [MemberChange.Step] = []
        var comers: [ClusterSpec.MemberSpec] = []
        var lastNumber: Int
    }

    /// Those that come are first, so that there are never fewer than now or at the end. Only where there is no number left
    /// for one more, somebody has to go before, whom the others must be able to miss.
    ///
    /// - Parameter published: whom machines of the cluster are, by what their hosts say. The store may not know of them: one that
    ///   went back gives its numbers again.
    func course(
        of spec: ClusterSpec, _ records: Planet.ClusterRecords, _ rule: ClusterRule,
        beside published: Set<MemberName> = []
    ) throws(Refusal) -> Course {
        var course = Course(lastNumber: records.lastNumber(of: spec, beside: published))
        var leavers: [MemberName] = []
        switch self {
        case .add(let region, let host): try Self.add(region, host, to: &course, of: spec)
        case .remove(let member): leavers = [member]
        case .replace(let member, let region, let host):
            guard let former = spec.members.first(where: { $0.name == member }) else {
                throw Self.stranger(member, rule)
            }
            try Self.add(region ?? former.region, host, to: &course, of: spec)
            leavers = [member]
        case .scale(let counts):
            for (region, count) in counts.sorted(by: { $0.key < $1.key }) {
                let there = spec.members.filter { $0.region == region && rule.members.contains($0.name) }.map(\.name)
                for _ in there.count..<max(count, there.count) { try Self.add(region, nil, to: &course, of: spec) }
                leavers += Self.leavers(max(there.count - count, 0), of: there, records, rule)
            }
        }
        // One that the rule does not name, and nobody is asked for, is still there to be removed.
        let unnamed = spec.members.map(\.name).filter { records.absence(of: $0) == .unnamed }
        for member in leavers where !unnamed.contains(member) { try Self.check(member, rule) }
        let wanted = rule.members.count + course.comers.count - leavers.count(where: rule.members.contains)
        guard wanted <= ClusterDirectory.membersMax else {
            throw Refusal(
                .failedPrecondition,
                "that would be \(wanted) members, and a cluster has at most \(ClusterDirectory.membersMax): remove some "
                    + "first")
        }
        guard wanted > 0 else {
            throw Refusal(.failedPrecondition, "a cluster has at least one member; destroy it instead")
        }
        if wanted < rule.members.count {
            try ReaderWish.check(spec.readers?.count ?? 0, standbys: wanted - 1)
        }
        course.steps = Self.steps(from: rule.members.count, comers: course.comers.map(\.name), leavers: leavers)
        if let first = course.steps.first, first.kind == .remove, rule.members.contains(first.member) {
            try Self.check(first.member, canBeMissed: records, rule)
        }
        return course
    }

    /// - Parameter count: of members now; neither now nor at the end are they more than a cluster may have.
    private static func steps(from count: Int, comers: [MemberName], leavers: [MemberName]) -> [MemberChange.Step] {
        var (steps, count, comers, leavers) = ([MemberChange.Step](), count, comers[...], leavers[...])
        while !comers.isEmpty || !leavers.isEmpty {
            if count < ClusterDirectory.membersMax, let comer = comers.popFirst() {
                steps.append(.init(.add, comer))
                count += 1
            } else if let leaver = leavers.popFirst() {
                steps.append(.init(.remove, leaver))
                count -= 1
            }
        }
        return steps
    }

    private static func add(_ region: RegionCode, _ host: HostName?, to course: inout Course, of spec: ClusterSpec)
        throws(Refusal)
    {
        course.lastNumber += 1
        do throws(InvalidValue) {
            let name = try PostgresNames.member(course.lastNumber, of: spec.name)
            course.comers.append(ClusterSpec.MemberSpec(name: name, region: region, host: host))
        } catch {
            throw Refusal(.failedPrecondition, "no more members can come: \(error)")
        }
    }

    /// Who leads stays as long as others can go; then those go that nobody would miss, the youngest first.
    private static func leavers(
        _ count: Int, of members: [MemberName], _ records: Planet.ClusterRecords, _ rule: ClusterRule
    ) -> [MemberName] {
        let sorted = members.enumerated().sorted { one, other in
            func rank(_ member: MemberName) -> Int {
                member == rule.leader ? 2 : records.confirms(member) ? 1 : 0
            }
            return (rank(one.element), other.offset) < (rank(other.element), one.offset)
        }
        return sorted.prefix(count).map(\.element)
    }

    private static func check(_ member: MemberName, _ rule: ClusterRule) throws(Refusal) {
        guard rule.members.contains(member) else { throw stranger(member, rule) }
        guard member != rule.leader else {
            let cluster = member.text.split(separator: "-").dropLast().joined(separator: "-")
            throw Refusal(
                .failedPrecondition,
                "\(member) leads, and a leader does not leave: make another one the leader first: "
                    + "roost pg switchover \(cluster)")
        }
    }

    /// Who is no member cannot go, whatever goes on meanwhile: no waiting helps. One that a change removes, which is not over
    /// yet, was one.
    static func check(_ member: MemberName, isKnownTo spec: ClusterSpec, _ rule: ClusterRule) throws(Refusal) {
        let steps = rule.change.map { $0.current == nil ? [] : $0.done } ?? []
        let known = rule.members + spec.members.map(\.name) + steps.map(\.member)
        guard known.contains(member) else { throw stranger(member, rule) }
    }

    static func stranger(_ member: MemberName, _ rule: ClusterRule) -> Refusal {
        Refusal(
            .notFound, "\(member) is not a member; there are: \(rule.members.map(\.text).joined(separator: ", "))")
    }

    /// Without it, those that are left must be able to confirm, as their leader sees them now.
    private static func check(
        _ member: MemberName, canBeMissed records: Planet.ClusterRecords, _ rule: ClusterRule
    ) throws(Refusal) {
        guard let heartbeat = records.heartbeat, heartbeat.epoch == rule.epoch, heartbeat.isOpen else {
            throw Refusal(
                .failedPrecondition,
                "\(rule.leader) lets no clients in now: nobody leaves before it does; try again then")
        }
        let needed = ClusterRule.confirmations(of: rule.members.count - 1)
        let others = rule.members.filter { $0 != rule.leader && $0 != member && records.confirms($0) }
        guard others.count >= needed else {
            throw Refusal(
                .failedPrecondition,
                "without \(member), \(counted(needed, "other standby", plural: "other standbys")) must confirm each "
                    + "commit, and \(others.count) can now: bring the others back first, or replace \(member)")
        }
    }
}
