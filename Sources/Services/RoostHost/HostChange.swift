public import RoostModel
public import RoostPlanet

/// What changed of what a host publishes.
public enum HostChange: FeedChange {
    /// Anything: more changed than is named one by one.
    case all
    case machine(MachineID)
    case volume(VolumeID)

    public var concernsMachines: Bool {
        switch self {
        case .all, .machine: true
        case .volume: false
        }
    }
}
