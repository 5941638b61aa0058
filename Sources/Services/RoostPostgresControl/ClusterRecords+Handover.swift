import RoostModel
import RoostPlanet

extension Planet.ClusterRecords {
    /// The leader lets nobody in, because it was asked to hand over and does so. One that was asked and is closed for another
    /// reason, because it starts or waits for standbys, says so, or was never seen to lead; or it has not the standbys with
    /// which it could have let anybody in, as one that was just chosen.
    var isHandingOver: Bool {
        guard let rule, let wish = rule.switchover, wish.refusal == nil, rule.recruitment == nil,
            let heartbeat, heartbeat.epoch == rule.epoch, !heartbeat.isOpen, let report = reports[rule.leader]
        else { return false }
        return report.promised == rule.epoch && report.role == .primary && report.state == .running
            && report.detail == nil && rule.members.count(where: confirms) >= rule.confirmations
    }
}
