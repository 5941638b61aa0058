public import RoostModel

/// Carries orders to the host that must carry them out: this one or, over the mesh, another.
public protocol HostDispatch: Sendable {
    func createVolume(_ order: VolumeOrder, on host: HostName) async throws(Refusal) -> VolumeRecord
    func createMachine(_ order: MachineOrder, on host: HostName) async throws(Refusal) -> MachineRecord
    /// Both are no-ops when it is gone already, or was never made; the host refuses to make it from then on.
    func destroyMachine(_ machine: MachineID, of app: AppName, on host: HostName) async throws(Refusal)
    func destroyVolume(_ volume: VolumeID, of app: AppName, on host: HostName) async throws(Refusal)
}
