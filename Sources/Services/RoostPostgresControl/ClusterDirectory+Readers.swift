import RoostControl
import RoostModel
import RoostPlanet
import RoostStore

// Readers: the spec alone says who they are. Whoever has the duty makes those that are in it, and takes apart those that somebody
// has taken off it.
extension ClusterDirectory {
    /// - Returns: the readers that the cluster is to have.
    func changeReaders(of name: AppName, _ wish: ReaderWish) async throws(Refusal) -> [MemberName] {
        let key = StoreKeys.clusterSpec(name)
        for _ in 0..<AppDirectory.triesMax {
            guard let records = try await read(name).clusters[name],
                var present = try await store.record(ClusterSpec.self, at: key)
            else {
                throw Refusal(.notFound, "Postgres cluster \(name) not found")
            }
            guard !present.record.isDestroying else {
                throw Refusal(.failedPrecondition, "Postgres cluster \(name) is being destroyed")
            }
            let former = present.record
            try wish.write(into: &present.record, records, beside: published(name))
            let readers = (present.record.readers ?? []).map(\.name)
            guard present.record != former else { return readers }
            try await check(from: (former.readers ?? []).map(\.name), to: readers, records, name)
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: present.revision)],
                    then: [try .put(present.record, over: present.bytes, at: key)]))
            if outcome.succeeded { return readers }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// Whoever comes has to be fed, and whoever goes is destroyed: not by a store that may have forgotten what was asked for.
    private func check(
        from former: [MemberName], to readers: [MemberName], _ records: Planet.ClusterRecords, _ name: AppName
    ) async throws(Refusal) {
        if !Set(former).isSubset(of: readers) { try await checkStoreIsNotBehind(records, name) }
        if !Set(readers).isSubset(of: former), let rule = records.rule {
            try Self.check(rule.members, have: .readers, records.reports)
        }
    }

    /// Those of a new cluster, numbered behind its members.
    static func readers(
        in regions: [RegionCode], of name: AppName, after number: Int, standbys: Int
    ) throws(Refusal) -> [ClusterSpec.MemberSpec]? {
        guard !regions.isEmpty else { return nil }
        try ReaderWish.check(regions.count, standbys: standbys)
        do {
            return try regions.enumerated().map { index, region throws(InvalidValue) in
                ClusterSpec.MemberSpec(name: try PostgresNames.member(number + index + 1, of: name), region: region)
            }
        } catch {
            throw Refusal(.invalid, "\(error)")
        }
    }
}
