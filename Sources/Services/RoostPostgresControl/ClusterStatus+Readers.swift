import RoostModel
import RoostPlanet
import RoostWire

extension ClusterStatus {
    /// Nil: there are none. What they are at makes no cluster better or worse: nothing that was promised rests on them.
    static func readers(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, _ planet: Planet, _ silence: ClusterSilence
    ) -> [ReaderBody]? {
        spec.readers?.map { reader in
            let placement = records.placements[reader.name]
            let report = records.reports[reader.name]
            let machine = placement.flatMap { planet.machine($0.machine, on: $0.host) }
            let quiet = silence.members[reader.name].flatMap { $0 > ClusterSilence.reportMax ? $0 : nil }
            let isUnknown = quiet != nil || silence.unheard.contains(reader.name)
            let state: String =
                if placement == nil {
                    "unplaced"
                } else if let machine, machine.state != .started {
                    "machine \(machine.state.rawValue)"
                } else if quiet != nil {
                    "silent"
                } else if isUnknown {
                    "unknown"
                } else {
                    report?.state.rawValue ?? "starting"
                }
            var body = ReaderBody(name: reader.name, placement: placement, region: reader.region, state: state)
            body.replaces = reader.cameFor?.reader
            body.detail = quiet.map { "not heard from for \($0.components.seconds) s" } ?? report?.detail
            guard !isUnknown else { return body }
            body.upstream = report?.upstream
            body.isServing = state == MemberReport.State.running.rawValue && records.isFed(reader.name)
            guard report?.state == .running else { return body }
            body.lagBytes = records.lagBytes(ofReader: reader.name)
            body.lagSeconds = lagSeconds(of: reader.name, records)
            return body
        }
    }
}
