public import RoostModel
public import RoostPlanet
public import RoostTelemetry

/// What is known of the members on one host, as numbers.
public enum MemberSamples {
    public static func of(_ planet: Planet, on host: HostName) -> [MetricSample] {
        var samples: [MetricSample] = []
        for (cluster, records) in planet.clusters {
            for (member, placement) in records.placements where placement.host == host {
                let isLeader = records.rule?.leader == member
                let report = records.reports[member]
                let names = (cluster.text, member.text)
                samples.append(MetricSample(.memberLeads, isLeader ? 1 : 0, names.0, names.1))
                samples.append(MetricSample(.memberUp, report?.state == .running ? 1 : 0, names.0, names.1))
                guard report != nil, !isLeader else { continue }
                if let seconds = ClusterStatus.lagSeconds(of: member, records) {
                    samples.append(MetricSample(.memberLag, seconds, names.0, names.1))
                }
                if let bytes = ClusterStatus.lagBytes(of: member, records) {
                    samples.append(MetricSample(.memberLagBytes, Double(bytes), names.0, names.1))
                }
            }
        }
        return samples
    }
}
