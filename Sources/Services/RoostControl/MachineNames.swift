import Foundation
public import RoostHost
import RoostLinux
public import RoostModel
import RoostPlanet
public import RoostStore
import RoostWire

/// Names of machines, unique in their app on the whole planet, so their truth is the store.
public struct MachineNames: Sendable {
    let store: any Store
    let agent: HostAgent
    let peers: any Peers
    let namesakes: @Sendable (String, AppName) -> [MachineID: HostName]

    /// A reservation whose machine is not there yet is that of a creation under way. After this it is one that was cut
    /// off; so is one of a later date than this from now, of a host whose clock was wrong.
    static let creationMax = Duration.seconds(60)
    static let questionMax = Duration.seconds(3)

    /// - Parameter namesakes: the machines of an app that hosts have said to have a name. The store may know fewer: one that
    ///   went back does not have the reservations that were made since.
    public init(
        store: any Store, agent: HostAgent, peers: any Peers,
        namesakes: @escaping @Sendable (String, AppName) -> [MachineID: HostName]
    ) {
        self.store = store
        self.agent = agent
        self.peers = peers
        self.namesakes = namesakes
    }

    /// Takes the name for a machine that a host is about to be asked to make; or moves it to the next host.
    public func reserve(
        _ name: String, of app: AppName, for machine: MachineID, on host: HostName
    ) async throws(Refusal) {
        for (other, owner) in namesakes(name, app).sorted(by: { $0.key < $1.key }) where other != machine {
            if let reason = await reasonToThinkItIsThere(other, on: owner) {
                throw Self.taken(name, of: app, by: reason)
            }
        }
        let key = StoreKeys.machineName(app, name)
        let wish = MachineNameRecord(machine: machine, host: host, reservedAt: WallClock.milliseconds())
        var known = Revision.absent
        // The machine's own reservation, with what a newer program has put beside it.
        var own: [UInt8] = []
        for _ in 0..<AppDirectory.triesMax {
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: known)], then: [try .put(wish, over: own, at: key)],
                    otherwise: [.read(.key(key))]))
            if outcome.succeeded { return }
            guard let entry = outcome.listings.first?.entries.first else {
                (known, own) = (.absent, [])
                continue
            }
            guard let holder = try? JSONDecoder().decode(MachineNameRecord.self, from: Data(entry.value)) else {
                throw Refusal(.nameTaken, "app \(app) has something newer than this version named \(name)")
            }
            if holder.machine != machine, let reason = await reasonToKeep(holder) {
                throw Self.taken(name, of: app, by: reason)
            }
            (known, own) = (entry.modified, holder.machine == machine ? entry.value : [])
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    private static func taken(_ name: String, of app: AppName, by reason: String) -> Refusal {
        Refusal(.nameTaken, "app \(app) has a machine named \(name) already: \(reason)")
    }

    /// Gives the name up, if it is the machine's.
    public func release(_ name: String, of app: AppName, by machine: MachineID) async throws(Refusal) {
        let key = StoreKeys.machineName(app, name)
        for _ in 0..<AppDirectory.triesMax {
            guard let present = try await store.record(MachineNameRecord.self, at: key),
                present.record.machine == machine
            else { return }
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: present.revision)], then: [.delete(.key(key))]))
            if outcome.succeeded { return }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// The machine that has the name, made or being made.
    public func holder(of name: String, in app: AppName) async throws(Refusal) -> MachineID? {
        try await store.record(MachineNameRecord.self, at: StoreKeys.machineName(app, name))?.record.machine
    }

    /// Nil: the name is free, and the machine it was reserved for will never be made.
    private func reasonToKeep(_ holder: MachineNameRecord) async -> String? {
        let (machine, host) = (holder.machine, holder.host)
        // A time before 1970 is none that a clock has said; far before, it could not be subtracted.
        let age = Duration.milliseconds(WallClock.milliseconds() - max(holder.reservedAt, 0))
        do throws(Refusal) {
            switch try await state(of: machine, on: host) {
            case .destroyed: return nil
            case nil:
                // Hosts' clocks differ. Whatever they say, the name is given away only when no machine can come any more.
                if age > .zero - Self.creationMax, age < Self.creationMax { return "it is being made" }
                return try await renounce(machine, on: host) ? nil : "machine \(machine) on host \(host)"
            case .some: return "machine \(machine) on host \(host)"
            }
        } catch {
            return Self.unsaid(machine, host)
        }
    }

    /// Of a machine that has a name, by what its host has said, and no reservation. Nil: it is gone.
    private func reasonToThinkItIsThere(_ machine: MachineID, on host: HostName) async -> String? {
        do throws(Refusal) {
            switch try await state(of: machine, on: host) {
            case .destroyed, nil: return nil
            case .some: return "machine \(machine) on host \(host)"
            }
        } catch {
            return Self.unsaid(machine, host)
        }
    }

    private static func unsaid(_ machine: MachineID, _ host: HostName) -> String {
        "machine \(machine) on host \(host), which does not say whether it has it"
    }

    private func state(of machine: MachineID, on host: HostName) async throws(Refusal) -> MachineState? {
        if host == agent.configuration.host { return await agent.machine(machine)?.record.state }
        do throws(Refusal) {
            return try await peers.value(
                MachineRecord.self, "GET", "/v1/internal/machines/\(machine)", from: host, timeout: Self.questionMax
            ).state
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    private func renounce(_ machine: MachineID, on host: HostName) async throws(Refusal) -> Bool {
        if host == agent.configuration.host { return try await agent.renounce(machine) }
        let reply = try await peers.ask(
            PeerQuestion("PUT", "/v1/internal/machines/\(machine)/renounced", timeout: Self.questionMax), of: host)
        if reply.isSuccess { return true }
        let refusal = reply.refusal(from: host)
        guard refusal.code == .alreadyExists else { throw refusal }
        return false
    }
}
