import RoostModel

/// How a member of the store is started.
struct EtcdArguments {
    let host: LabHost
    let plan: LabPlan

    static func clientURL(_ host: LabHost) -> String { "http://[\(host.mesh)]:2379" }
    static func peerURL(_ host: LabHost) -> String { "http://[\(host.mesh)]:2380" }

    /// A heartbeat takes about half the longest round trip (etcd's tuning guide asks for around a round trip; half
    /// keeps elections near a second), an election waits for ten heartbeats.
    static func heartbeatMilliseconds(_ plan: LabPlan) -> Int {
        let regions = plan.hosts.filter(\.isStoreMember).map(\.region)
        let longest = regions.flatMap { from in regions.map { Geography.roundTripMilliseconds(from, $0) } }.max() ?? 0
        return max(100, (longest / 2 + 9) / 10 * 10)
    }

    var list: [String] {
        let heartbeat = Self.heartbeatMilliseconds(plan)
        let members = plan.hosts.filter(\.isStoreMember)
        return [
            "--name", host.name.text,
            "--data-dir", LabPaths(name: plan.shape.name).hostState(host.name.text) + "/etcd",
            "--listen-client-urls", Self.clientURL(host),
            "--advertise-client-urls", Self.clientURL(host),
            "--listen-peer-urls", Self.peerURL(host),
            "--initial-advertise-peer-urls", Self.peerURL(host),
            "--initial-cluster", members.map { "\($0.name)=\(Self.peerURL($0))" }.joined(separator: ","),
            "--initial-cluster-token", plan.shape.name,
            "--initial-cluster-state", "new",
            "--heartbeat-interval", "\(heartbeat)",
            "--election-timeout", "\(10 * heartbeat)",
            "--auto-compaction-mode", "periodic",
            "--auto-compaction-retention", "30m",
            "--log-level", "warn",
        ]
    }
}
