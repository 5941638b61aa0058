public import RoostHost
public import RoostModel

/// Orders to any host: this one's agent directly, others through their routes for hosts.
public struct PlanetDispatch: HostDispatch {
    let agent: HostAgent
    let peers: any Peers

    /// Making a volume writes up to 4 GiB of it.
    public static let volumeTimeout = Duration.seconds(300)
    public static let destroyTimeout = Duration.seconds(45)

    public init(agent: HostAgent, peers: any Peers) {
        self.agent = agent
        self.peers = peers
    }

    private func isHere(_ host: HostName) -> Bool { host == agent.configuration.host }

    public func createVolume(_ order: VolumeOrder, on host: HostName) async throws(Refusal) -> VolumeRecord {
        if isHere(host) { return try await agent.createVolume(order) }
        return try await peers.value(
            VolumeRecord.self, "PUT", "/v1/internal/volumes/\(order.id)", body: order, from: host,
            timeout: Self.volumeTimeout)
    }

    public func createMachine(_ order: MachineOrder, on host: HostName) async throws(Refusal) -> MachineRecord {
        if isHere(host) { return try await agent.createMachine(order) }
        return try await peers.value(
            MachineRecord.self, "PUT", "/v1/internal/machines/\(order.id)", body: order, from: host)
    }

    public func destroyMachine(_ machine: MachineID, of app: AppName, on host: HostName) async throws(Refusal) {
        do throws(Refusal) {
            if isHere(host) {
                _ = try await agent.takeBack(machine, timeout: Self.destroyTimeout)
            } else {
                let reply = try await peers.ask(
                    PeerQuestion(
                        "DELETE", "/v1/internal/machines/\(machine)", timeout: Self.destroyTimeout + .seconds(5)),
                    of: host)
                guard reply.status == 200 else { throw reply.refusal(from: host) }
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    public func destroyVolume(_ volume: VolumeID, of app: AppName, on host: HostName) async throws(Refusal) {
        do throws(Refusal) {
            if isHere(host) {
                _ = try await agent.takeBack(volume)
            } else {
                let reply = try await peers.ask(
                    PeerQuestion("DELETE", "/v1/internal/volumes/\(volume)"), of: host)
                guard reply.status == 200 else { throw reply.refusal(from: host) }
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }
}
