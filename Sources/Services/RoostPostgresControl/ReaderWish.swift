import RoostModel
import RoostPlanet

/// Which readers a cluster is to have, as somebody asks for it.
enum ReaderWish: Hashable, Sendable {
    /// So many in each of these regions; the others stay as they are.
    case scale([RegionCode: Int])
    case remove(MemberName)
    /// Another one in its place: in this region, and on this host where one is named.
    case replace(MemberName, RegionCode?, HostName?)

    /// Writes it into the spec. Where the cluster has these readers nothing is changed.
    ///
    /// - Parameter published: as ``MemberWish/course(of:_:_:beside:)``: names are given once, to members and readers alike.
    func write(
        into spec: inout ClusterSpec, _ records: Planet.ClusterRecords, beside published: Set<MemberName>
    ) throws(Refusal) {
        let former = spec.readers ?? []
        var number = records.lastNumber(of: spec, beside: published)
        var readers = former
        switch self {
        case .scale(let counts):
            for (region, count) in counts.sorted(by: { $0.key < $1.key }) {
                let there = readers.filter { $0.region == region }.map(\.name)
                for _ in there.count..<max(count, there.count) {
                    readers.append(try Self.next(&number, region, nil, of: spec))
                }
                let leavers = Self.leavers(max(there.count - count, 0), of: there, records)
                readers.removeAll { leavers.contains($0.name) }
            }
        case .remove(let reader):
            try Self.check(reader, isOf: former)
            readers.removeAll { $0.name == reader }
        case .replace(let reader, let region, let host):
            let present = try Self.check(reader, isOf: former)
            readers.append(try Self.next(&number, region ?? present.region, host, of: spec))
            readers.removeAll { $0.name == reader }
        }
        guard readers != former else { return }
        if readers.count > former.count { try Self.check(readers.count, standbys: spec.standbys(records.rule)) }
        spec.readers = readers.isEmpty ? nil : readers
        spec.lastNumber = max(spec.lastNumber ?? 0, number)
    }

    private static func next(
        _ number: inout Int, _ region: RegionCode, _ host: HostName?, of spec: ClusterSpec
    ) throws(Refusal) -> ClusterSpec.MemberSpec {
        number += 1
        do throws(InvalidValue) {
            return ClusterSpec.MemberSpec(
                name: try PostgresNames.member(number, of: spec.name), region: region, host: host)
        } catch {
            throw Refusal(.failedPrecondition, "no more readers can come: \(error)")
        }
    }

    /// Those that serve nobody, then the youngest.
    private static func leavers(
        _ count: Int, of readers: [MemberName], _ records: Planet.ClusterRecords
    ) -> [MemberName] {
        let sorted = readers.enumerated().sorted { one, other in
            let (isOneFed, isOtherFed) = (records.isFed(one.element), records.isFed(other.element))
            return isOneFed == isOtherFed ? one.offset > other.offset : !isOneFed
        }
        return sorted.prefix(count).map(\.element)
    }

    @discardableResult
    private static func check(
        _ reader: MemberName, isOf readers: [ClusterSpec.MemberSpec]
    ) throws(Refusal) -> ClusterSpec.MemberSpec {
        guard let present = readers.first(where: { $0.name == reader }) else {
            let names = readers.map(\.name.text).joined(separator: ", ")
            throw Refusal(.notFound, "\(reader) is no reader; there \(names.isEmpty ? "is none" : "are: \(names)")")
        }
        return present
    }

    /// - Parameter standbys: that could feed them.
    static func check(_ count: Int, standbys: Int) throws(Refusal) {
        guard count <= ClusterSpec.readersMax else {
            throw Refusal(
                .failedPrecondition,
                "that would be \(count) readers, and a cluster has at most \(ClusterSpec.readersMax)")
        }
        guard count <= standbys * ClusterSpec.readersEachMax else {
            throw Refusal(
                .failedPrecondition,
                "each standby feeds \(ClusterSpec.readersEachMax) readers at most, and a primary none: \(count) readers are too "
                    + "many for \(counted(standbys, "standby", plural: "standbys")); have fewer readers (roost pg scale --readers) "
                    + "or more members")
        }
    }
}

extension ClusterSpec {
    /// How many members do not lead: as few as there are now, or come to be by a change that is under way.
    fileprivate func standbys(_ rule: ClusterRule?) -> Int {
        guard let rule else { return max(members.count - 1, 0) }
        var count = rule.members.count
        var least = count
        if let change = rule.change, change.current != nil {
            for step in change.left {
                switch step.kind {
                case .add: count += 1
                case .remove: count -= 1
                case .unknown: break
                }
                least = min(least, count)
            }
        }
        return max(least - 1, 0)
    }
}
