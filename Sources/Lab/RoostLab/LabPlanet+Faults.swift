import Glibc
import RoostClient
public import RoostModel
import RoostWAN
public import RoostWire

/// Faults: each stays until it is healed.
extension LabPlanet {
    public func inject(_ fault: NetworkFault) async throws {
        try await wan.send(WANRequest(.addRules, rules: [try plan.rule(fault)]))
    }

    public func cut(_ a: String, _ b: String, isOneWay: Bool = false) async throws {
        try await inject(NetworkFault(.cut, from: a, to: b, isOneWay: isOneWay))
    }

    public func loss(_ a: String, _ b: String, percent: Double, isOneWay: Bool = false) async throws {
        try await inject(NetworkFault(.loss(percent: percent), from: a, to: b, isOneWay: isOneWay))
    }

    /// Adds to the delay of each direction, so a round trip takes longer by twice as much.
    public func delay(_ a: String, _ b: String, milliseconds: Double, isOneWay: Bool = false) async throws {
        try await inject(NetworkFault(.delay(milliseconds: milliseconds), from: a, to: b, isOneWay: isOneWay))
    }

    /// Undoes cut, loss and delay between the two.
    /// - Returns: the faults that are no more.
    @discardableResult
    public func heal(_ a: String, _ b: String, isOneWay: Bool = false) async throws -> [NetworkFault] {
        _ = (try plan.party(a), try plan.party(b))
        var healed: [NetworkFault] = []
        var left: [NetworkFault] = []
        for fault in try await networkFaults() {
            let rest = fault.healed(from: a, to: b, isOneWay: isOneWay)
            if rest != [fault] {
                healed.append(fault)
                left += rest
            }
        }
        guard !healed.isEmpty else { return [] }
        // What is left of a fault comes first: no moment without it.
        var rules: [WANRule] = []
        for fault in left { rules.append(try plan.rule(fault)) }
        if !rules.isEmpty { try await wan.send(WANRequest(.addRules, rules: rules)) }
        try await wan.send(WANRequest(.removeRules, names: healed.map(\.key)))
        return healed
    }

    public func networkFaults() async throws -> [NetworkFault] {
        (try await wan.send(WANRequest(.list)).rules ?? []).compactMap(NetworkFault.init)
    }

    // MARK: - Everything at once

    /// A fault of any kind, as lists show it.
    public enum Fault: Sendable, Hashable, CustomStringConvertible {
        case network(NetworkFault)
        case hostDown(HostName)
        case hostFrozen(HostName)
        case processFrozen(HostName, program: String)

        public var description: String {
            switch self {
            case .network(let fault): "\(fault)"
            case .hostDown(let host): "host \(host) is down"
            case .hostFrozen(let host): "host \(host) is frozen"
            case .processFrozen(let host, let program): "process \(program) on \(host) is frozen"
            }
        }
    }

    /// What is wrong now, and healed with everything else. (For a stopped edge see ``stoppedEdges()``.)
    public func faults() async throws -> [Fault] {
        var found = try await networkFaults().map(Fault.network)
        for host in plan.hosts {
            switch state(of: host) {
            case .down: found.append(.hostDown(host.name))
            case .frozen: found.append(.hostFrozen(host.name))
            case .running: found += stoppedPrograms(on: host).map { .processFrozen(host.name, program: $0) }
            }
        }
        return found
    }

    private func stoppedPrograms(on host: LabHost) -> [String] {
        guard let first = firstProcess(of: host.name.text) else { return [] }
        return Set(ProcessTable().family(of: first).filter { $0.state == "T" }.map(\.name)).sorted()
    }

    /// Heals all links, thaws hosts and processes, starts hosts that are down.
    /// - Returns: what was healed.
    @discardableResult
    public func healAll() async throws -> [Fault] {
        let found = try await faults()
        try await wan.send(WANRequest(.removeRules))
        for fault in found {
            switch fault {
            case .network: break
            case .hostDown(let host): try await startHost(host.text)
            case .hostFrozen(let host): try await thawHost(host.text)
            case .processFrozen(let host, let program):
                try signal(SIGCONT, process: program, on: host.text)
            }
        }
        return found
    }

    // MARK: - Edges

    /// How long a host may take to say whether its edge is stopped.
    private static let edgeAnswerMax = Duration.seconds(2)

    /// Hosts that say their edge is stopped. It may have been by a fault or by an operator's order, and stays so when all is
    /// healed. A host that does not answer is wrong in another way, and left out.
    public func stoppedEdges() async -> [HostName] {
        let edges = plan.hosts.filter { $0.isEdge && state(of: $0) == .running }.map(\.name)
        return await withTaskGroup(of: HostName?.self) { group in
            for host in edges {
                group.addTask {
                    let list = try? await api(of: host).send(
                        .get, "/v1/platform/hosts", as: ListHostsBody.self, timeout: Self.edgeAnswerMax)
                    return list?.hosts.first { $0.name == host }?.isEdgeStopped == true ? host : nil
                }
            }
            return await group.reduce(into: [HostName]()) { found, host in if let host { found.append(host) } }.sorted()
        }
    }

    /// Asks the host itself to withdraw and stop its edge, or to start it again.
    public func setEdge(of name: String, to state: EdgeRequest.State) async throws {
        let host = try host(name)
        guard host.isEdge else {
            let edges = plan.hosts.filter(\.isEdge).map(\.name.text).joined(separator: ", ")
            throw LabError(.usage, "\(name) is no edge", advice: "use one of \(edges)")
        }
        // A fault may take everything off the air.
        try await api(of: host.name).setEdge(of: host.name, to: state, force: true)
    }
}
