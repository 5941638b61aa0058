import RoostHost
public import RoostModel
import RoostPlanet
import RoostStore
import Synchronization

/// Whose a machine or a volume is.
///
/// What was made through another host a moment ago has not reached this host's copy yet, and what was destroyed is no
/// more in it. Before anybody is told that there is no such thing, every host that can be reached is asked.
extension PlanetView {
    /// How long a host that is asked may take.
    static let searchMax = Duration.seconds(2)
    /// Searches that may be under way at once: each is a question to every host.
    static let searchesMax = 16
    private static let searches = Mutex(0)

    /// The host that has the machine, or had it until it was destroyed.
    public func owner(of machine: MachineID) async throws(Refusal) -> HostName {
        if await agent.machine(machine) != nil { return host }
        if let owner = watcher.read({ $0.host(of: machine) }), owner != host { return owner }
        return try await search(for: "machine \(machine)", at: "/v1/internal/machines/\(machine)")
    }

    /// The host that has the volume.
    public func owner(of volume: VolumeID) async throws(Refusal) -> HostName {
        if await agent.volume(volume) != nil { return host }
        if let owner = watcher.read({ $0.host(of: volume) }), owner != host { return owner }
        return try await search(for: "volume \(volume)", at: "/v1/internal/volumes/\(volume)")
    }

    /// Asks all hosts that can be reached. One that can be reached and does not answer may be the owner, and then nobody
    /// knows; nor does a host know what others have that reaches neither them nor the store.
    private func search(for thing: String, at path: String) async throws(Refusal) -> HostName {
        let isBegun = Self.searches.withLock { count in
            guard count < Self.searchesMax else { return false }
            count += 1
            return true
        }
        guard isBegun else {
            throw Refusal(.tooMany, "this host does not know \(thing) and asks for others; try again")
        }
        defer { Self.searches.withLock { $0 -= 1 } }
        let known = Set(watcher.planet.hosts.keys)
        let asked = await reachability.hosts().intersection(known).subtracting([host])
        let answers = await withTaskGroup(of: (HostName, Bool?).self) { group in
            for other in asked {
                group.addTask {
                    let reply = try? await peers.ask(
                        PeerQuestion("GET", path, timeout: Self.searchMax), of: other)
                    switch reply?.status {
                    case 200: return (other, true)
                    case 404: return (other, false)
                    default: return (other, nil)
                    }
                }
            }
            var answers: [HostName: Bool?] = [:]
            for await (other, has) in group {
                answers[other] = .some(has)
                if has == true { group.cancelAll() }
            }
            return answers
        }
        if let owner = answers.first(where: { $0.value == true })?.key { return owner }
        let silent = answers.filter { $0.value == nil }.map(\.key.text).sorted()
        guard silent.isEmpty else {
            throw Refusal(
                .unavailable,
                "\(thing) is not known, and these hosts did not say whether they have it: \(silent.joined(separator: ", "))"
            )
        }
        let away = known.subtracting(asked).subtracting([host]).map(\.text).sorted()
        if !away.isEmpty { try await requireStore(for: thing, away: away) }
        throw Refusal(.notFound, "\(thing) not found")
    }

    private func requireStore(for thing: String, away: [String]) async throws(Refusal) {
        guard await hearsStore() else {
            throw Refusal(
                .unavailable,
                "\(thing) is not known here, and may be on a host that cannot be reached (\(away.joined(separator: ", "))); "
                    + "the store, which knows, does not answer")
        }
    }

    /// A list is what this host has heard; whoever goes by what is not in it has to know that it is all there is.
    public func requireWhole(_ list: String) async throws(Refusal) {
        guard await hearsStore() else {
            throw Refusal(
                .unavailable, "\(list) may have more than this host has heard: the store, which knows, does not answer")
        }
    }

    /// What this host knows of others is what the store has, and the store answers.
    private func hearsStore() async -> Bool {
        guard watcher.isLive([.hosts]) else { return false }
        return (try? await apps.store.read(.key(StoreKeys.host(host)), at: nil)) != nil
    }
}
