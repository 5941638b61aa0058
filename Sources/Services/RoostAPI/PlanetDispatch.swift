import RoostControl
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPostgresControl

/// Orders to any host: this one's agent directly, others through their internal endpoints.
struct PlanetDispatch: HostDispatch {
    let agent: HostAgent
    let peers: PeerClient

    /// Making a volume writes up to 4 GiB of it.
    static let volumeTimeout = Duration.seconds(300)
    static let destroyTimeout = Duration.seconds(45)

    private func isHere(_ host: HostName) -> Bool { host == agent.configuration.host }

    func createVolume(_ order: VolumeOrder, on host: HostName) async throws(Refusal) -> VolumeRecord {
        if isHere(host) { return try await agent.createVolume(order) }
        return try await peers.value(
            VolumeRecord.self, "PUT", "/v1/internal/volumes/\(order.id)", body: order, from: host,
            timeout: Self.volumeTimeout)
    }

    func createMachine(_ order: MachineOrder, on host: HostName) async throws(Refusal) -> MachineRecord {
        if isHere(host) { return try await agent.createMachine(order) }
        return try await peers.value(
            MachineRecord.self, "PUT", "/v1/internal/machines/\(order.id)", body: order, from: host)
    }

    func destroyMachine(_ machine: MachineID, of app: AppName, on host: HostName) async throws(Refusal) {
        do throws(Refusal) {
            if isHere(host) {
                _ = try await agent.destroy(machine, force: true)
                _ = try await agent.wait(for: machine, states: [.destroyed], timeout: Self.destroyTimeout)
            } else {
                let reply = try await peers.send(
                    "DELETE", "/v1/internal/machines/\(machine)", to: host, timeout: Self.destroyTimeout + .seconds(5))
                guard reply.status == 200 else { throw PeerClient.refusal(reply, from: host) }
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    func destroyVolume(_ volume: VolumeID, of app: AppName, on host: HostName) async throws(Refusal) {
        do throws(Refusal) {
            if isHere(host) {
                _ = try await agent.destroyVolume(volume)
            } else {
                let reply = try await peers.send("DELETE", "/v1/internal/volumes/\(volume)", to: host)
                guard reply.status == 200 else { throw PeerClient.refusal(reply, from: host) }
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }
}
