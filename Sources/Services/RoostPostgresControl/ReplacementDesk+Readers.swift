import RoostModel
import RoostPlanet
import RoostPlans

// Readers that are lost, and those that come for them.
extension ReplacementDesk {
    /// They came by themselves, and have not said yet that all of their data is there.
    static func readersComing(_ spec: ClusterSpec, _ records: Planet.ClusterRecords) -> [MemberName] {
        (spec.readers ?? []).filter { $0.cameFor != nil && !records.hasData($0.name) }.map(\.name)
    }

    static func readers(
        of cluster: AppName, _ spec: ClusterSpec, in planet: Planet, _ state: State,
        coming: [MemberName: Replacement.Readers.Silence], at now: Moment
    ) -> Replacement.Readers {
        var readers = Replacement.Readers()
        guard let records = planet.clusters[cluster] else { return readers }
        readers.withData = Set((spec.readers ?? []).map(\.name).filter(records.hasData))
        readers.coming = coming
        readers.brake = state.watch.brake(ofReaders: true, at: now)
        readers.refusal =
            state.turns.refusal(of: .readers(cluster), at: now)
            ?? (state.turns.isTaken(.readers(cluster)) ? "another of its readers has just been replaced" : nil)
            ?? records.objectionToReaders(of: cluster, in: planet)
        readers.hasTurn = state.turns.isFree(for: .readers(cluster))
        readers.isBehindMembers = state.isMemberDue
        return readers
    }
}

extension Planet.ClusterRecords {
    /// It has said last that all of its data is there.
    func hasData(_ reader: MemberName) -> Bool { reports[reader]?.data == .whole }

    /// Why the wish for another reader would be refused, as far as the records say.
    fileprivate func objectionToReaders(of cluster: AppName, in planet: Planet) -> String? {
        if let why = reversal(as: objectors(), of: cluster) { return why }
        do throws(Refusal) {
            try ReaderRoutes.check(planet.hosts.values.sorted { $0.host < $1.host })
            try ClusterDirectory.check(rule?.members ?? [], have: .readers, reports)
            return nil
        } catch {
            return error.message
        }
    }
}
