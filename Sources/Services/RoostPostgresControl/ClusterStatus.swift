import RoostHost
import RoostModel
import RoostPlanet
import RoostWire

/// A cluster's records put together into what a person asks for.
enum ClusterStatus {
    /// - Parameter isCurrent: the planet is what the store says now, not what it said before it was lost.
    static func body(of name: AppName, in planet: Planet, isCurrent: Bool = true) -> ClusterBody? {
        guard let records = planet.clusters[name], let spec = records.spec, let secrets = records.secrets else {
            return nil
        }
        let members = spec.members.map { body(of: $0, records, planet) }
        let (status, words) = isCurrent ? verdict(spec, records) : lastHeard(spec, records)
        // What the hosts met while they worked on it says more than what is missing.
        let obstacle = status == .ready ? nil : records.obstacle?.reason
        let detail = [words, obstacle].compactMap(\.self).joined(separator: "; ")
        let standbys = max(spec.members.count - 1, 0)
        let rule = records.rule.map {
            $0.confirmations == 0 ? "no standby confirms" : "ANY \($0.confirmations) of \(standbys)"
        }
        return ClusterBody(
            name: name, status: status, detail: detail.isEmpty ? nil : detail, epoch: records.rule?.epoch ?? .none,
            leader: records.rule?.leader, rule: rule ?? "not initialised yet",
            writeURL: url(spec, secrets, port: 5432), readURL: url(spec, secrets, port: 5433),
            authorityCertificate: secrets.authorityCertificate, members: members)
    }

    private static func url(_ spec: ClusterSpec, _ secrets: ClusterSecrets, port: Int) -> String {
        "postgres://postgres:\(secrets.superuserPassword)@\(spec.address):\(port)/postgres?sslmode=require"
    }

    private static func body(
        of member: ClusterSpec.MemberSpec, _ records: Planet.ClusterRecords, _ planet: Planet
    ) -> MemberBody {
        let placement = records.placements[member.name]
        let report = records.reports[member.name]
        let machine = placement.flatMap { placement in
            planet.hosts[placement.host]?.machines.first { $0.id == placement.machine }
        }
        let isLeader = records.rule?.leader == member.name
        let state: String =
            if placement == nil {
                "unplaced"
            } else if let machine, machine.state != .started {
                "machine \(machine.state.rawValue)"
            } else {
                report?.state.rawValue ?? "starting"
            }
        return MemberBody(
            name: member.name, machine: placement?.machine, volume: placement?.volume, host: placement?.host,
            region: member.region, address: placement?.address, role: isLeader ? .primary : .standby,
            state: state, timeline: report?.timeline ?? 0, lagBytes: report.map { isLeader ? 0 : $0.lagBytes },
            lagSeconds: report.map { isLeader ? 0 : Double($0.lagMilliseconds) / 1000 }, detail: report?.detail)
    }

    private static func lastHeard(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords
    ) -> (ClusterBody.Status, String?) {
        let before = verdict(spec, records).0.rawValue
        return (.unknown, "this host has lost the store; what it heard last is shown, the cluster was \(before) then")
    }

    private static func verdict(_ spec: ClusterSpec, _ records: Planet.ClusterRecords) -> (ClusterBody.Status, String?)
    {
        if spec.isDestroying { return (.destroying, "machines and volumes are being removed") }
        guard let rule = records.rule else {
            return (.creating, "the first member has not initialised the cluster yet")
        }
        let reports = records.reports
        let streaming = rule.members.filter { $0 != rule.leader && reports[$0]?.isStreaming == true }
        let missing = rule.members.filter { $0 != rule.leader && reports[$0]?.isStreaming != true }
        if let recruitment = rule.recruitment {
            let waiting = rule.members.compactMap { reports[$0]?.detail }.first
            return (
                .unavailable,
                "recruiting for epoch \(recruitment.epoch) (\(recruitment.reason.rawValue))"
                    + (waiting.map { ": \($0)" } ?? "")
            )
        }
        guard let heartbeat = records.heartbeat, heartbeat.epoch == rule.epoch, heartbeat.isOpen else {
            let isNew = rule.epoch == .first && streaming.count < rule.confirmations
            let why = reports[rule.leader]?.detail ?? "the primary \(rule.leader) does not accept writes yet"
            return (isNew ? .creating : .unavailable, why)
        }
        guard missing.isEmpty else {
            let names = missing.map(\.text).joined(separator: ", ")
            let isFirstClone = missing.allSatisfy { member in
                rule.epoch == .first && (reports[member]?.position == nil)
            }
            return (isFirstClone ? .creating : .degraded, "not streaming: \(names)")
        }
        // A wish that was not granted is worth a word until the next one.
        return (.ready, rule.switchover?.refusal.map { "the last switchover was refused: \($0)" })
    }
}
