public import RoostControl
public import RoostModel
public import RoostPlanet

/// Whether operations on Postgres clusters have ended: true for a client, or certain not to come true.
public struct ClusterOperations: OperationJudge {
    public init() {}

    public func verdict(on operation: OperationRecord, in planet: Planet) -> OperationVerdict? {
        let records = planet.clusters[operation.object]
        // What cannot be read decides nothing.
        guard !planet.unreadable.contains(StoreKeys.clusterSpec(operation.object)) else { return nil }
        if records != nil, records?.spec == nil { return nil }
        let spec = records?.spec?.createdAt == operation.objectMadeAt ? records?.spec : nil
        switch operation.kind {
        case .createCluster:
            guard let records, let spec, !spec.isDestroying else {
                return .failed("the cluster was destroyed before it was ready")
            }
            guard let rule = records.rule, ClusterStatus.isReady(spec, records) else { return nil }
            return .succeeded("ready at \(spec.address), \(rule.leader) leads")
        case .destroyCluster:
            return spec == nil ? .succeeded("its machines, volumes and records are gone") : nil
        case .switchover:
            guard let records, let spec, !spec.isDestroying, let rule = records.rule,
                let began = operation.reigning
            else { return .failed("the cluster was destroyed") }
            return Self.switchover(operation.id, from: began, rule, records)
        case .unknown: return nil
        }
    }

    private static func switchover(
        _ id: PlanetOperationID, from began: OperationRecord.Reigning, _ rule: ClusterRule,
        _ records: Planet.ClusterRecords
    ) -> OperationVerdict? {
        if let request = rule.switchover, request.id == id.text { return request.refusal.map { .failed($0) } }
        if rule.epoch == began.epoch {
            return .failed(
                rule.switchover == nil
                    ? "the wish was dropped, and \(rule.leader) leads on" : "another switchover was asked for")
        }
        // A leader that lets nobody in is no answer yet, nor is one that is being replaced.
        guard rule.recruitment == nil, let heartbeat = records.heartbeat, heartbeat.epoch == rule.epoch,
            heartbeat.isOpen
        else { return nil }
        let isWanted = began.target.map { $0 == rule.leader } ?? (rule.leader != began.leader)
        let words = "\(rule.leader) leads epoch \(rule.epoch)"
        return isWanted ? .succeeded(words) : .failed(words + (began.target.map { ", not \($0)" } ?? " still"))
    }
}
