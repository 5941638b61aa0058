import RoostControl
import RoostModel
import RoostPlanet
import RoostStore

// Readers: the spec alone says who they are. Whoever has the duty makes those that are in it, and takes apart those that somebody
// has taken off it.
extension ClusterDirectory {
    /// - Returns: the readers that the cluster is to have.
    func changeReaders(of name: AppName, _ wish: ReaderWish) async throws(Refusal) -> [MemberName] {
        for _ in 0..<AppDirectory.triesMax {
            if let readers = try await tryReaders(of: name, wish) { return readers }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// Gives a lost reader's place to another one, of which nobody asks, if the conditions hold. The lost one has none from then on:
    /// nothing rests on it, and should its host come back, it is taken apart.
    ///
    /// - Returns: whether it was written.
    func replaceReader(
        lost reader: MemberName, of name: AppName, in region: RegionCode, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        try await tryReaders(of: name, .replace(reader, region, nil), isAutomatic: true, under: conditions) != nil
    }

    /// One try; somebody else's change may come first.
    ///
    /// - Returns: the readers that the cluster is to have; nil: it was not written.
    private func tryReaders(
        of name: AppName, _ wish: ReaderWish, isAutomatic: Bool = false, under conditions: [Transaction.Compare] = []
    ) async throws(Refusal) -> [MemberName]? {
        let key = StoreKeys.clusterSpec(name)
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
        let begun = isAutomatic ? try Self.note(wish, in: &present.record, after: former, records) : nil
        let readers = (present.record.readers ?? []).map(\.name)
        guard present.record != former else { return readers }
        try await check(from: (former.readers ?? []).map(\.name), to: readers, records, name)
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions + [.modified(key: key, equals: present.revision)]
                    + [begun?.compare].compactMap(\.self),
                then: [try .put(present.record, over: present.bytes, at: key)]
                    + [begun?.operation].compactMap(\.self)))
        return outcome.succeeded ? readers : nil
    }

    /// Notes in the spec that the last reader came by itself, and says so in an operation that has ended: what was asked for is
    /// written with it.
    private static func note(
        _ wish: ReaderWish, in spec: inout ClusterSpec, after former: ClusterSpec, _ records: Planet.ClusterRecords
    ) throws(Refusal) -> (compare: Transaction.Compare, operation: Transaction.Operation)? {
        guard case .replace(let reader, _, _) = wish, let comer = spec.readers?.indices.last,
            let lost = former.readers?.first(where: { $0.name == reader }), let name = spec.readers?[comer].name
        else { return nil }
        let host = records.placements[reader]?.host
        spec.readers?[comer].cameFor = .next(after: lost, hadData: records.hasData(reader), on: host)
        var operation = operation(OperationDirectory.makeID(), .replaceReader, on: spec)
        operation.state = .succeeded
        operation.endedAt = operation.startedAt
        let term = spec.replaceAfter ?? .standard
        operation.result =
            "\(reader)\(host.map { " on \($0)" } ?? "") was not heard from for \(term) or longer: \(name) comes in its place"
        return try OperationDirectory.begin(operation)
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
