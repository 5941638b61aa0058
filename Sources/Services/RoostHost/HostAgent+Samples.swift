import RoostMachineLife
import RoostModel
public import RoostTelemetry

extension HostAgent {
    /// What there is on this host now, by state. States without any are told too, so that a graph ends at 0.
    public func samples() -> [MetricSample] {
        var machines = Dictionary(uniqueKeysWithValues: MachineState.known.map { ($0.rawValue, 0) })
        for row in machineRows.values { machines[row.life.phase.state.rawValue, default: 0] += 1 }
        let volumes = Dictionary(grouping: volumeRows.values.filter { $0.state != .destroyed }, by: \.state.rawValue)
        return machines.map { MetricSample(.machines, Double($0.value), $0.key) }
            + volumes.map { MetricSample(.volumes, Double($0.value.count), $0.key) }
    }
}
